"""Guardians and their links to children: one by one, and many at once out of a CSV."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from services.academic.guardians import matching, queries, rules
from services.academic.guardians.schemas import (
    CsvResult,
    Guardian,
    GuardianChange,
    GuardianLink,
    GuardianLinkChange,
    NewGuardian,
    NewGuardianLink,
    Plan,
)
from services.academic.people import queries as people
from shared.contracts.academic import GuardianChanged, GuardianLinkChanged
from shared.database import Database, Tx
from shared.outbox import Event, publish_all
from shared.problems import Conflict, NotFound, PreconditionFailed


class GuardianExists(Conflict):
    slug = "guardian-exists"
    title = "There is a guardian of this name and mailbox already"


async def add_guardian(database: Database, school_id: UUID, new: NewGuardian) -> Guardian:
    """Raises GuardianExists."""
    guardian = matching.guardian_of(new)
    async with database.transaction(school_id=school_id) as tx:
        if not await queries.add_guardian(tx, school_id=school_id, guardian=guardian):
            raise GuardianExists("Link that one to the child.")
        await tell_of_guardians(tx, school_id, [guardian])
    return guardian


async def change_guardian(database: Database, school_id: UUID, guardian_id: UUID, change: GuardianChange) -> Guardian:
    """Raises NotFound, GuardianExists, PreconditionFailed when somebody else changed the guardian since."""
    wanted = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    async with database.transaction(school_id=school_id) as tx:
        before = await queries.guardian(tx, school_id=school_id, guardian_id=guardian_id)
        if before is None:
            raise NotFound
        changed = msgspec.structs.replace(before, **wanted)
        try:
            saved = await queries.save_guardian(tx, school_id=school_id, guardian=changed)
        except UniqueViolation:
            raise GuardianExists from None
        if not saved:
            raise PreconditionFailed(f"The guardian is at version {before.version}.")
        after = msgspec.structs.replace(changed, version=change.version + 1)
        await tell_of_guardians(tx, school_id, [after])
    return after


async def add_link(
    database: Database, school_id: UUID, new: NewGuardianLink, *, user_id: UUID, now: datetime
) -> GuardianLink:
    """Raises NotFound for a guardian or student not of the school, LinkExists, EndsBeforeStart."""
    rules.require_order(new.starts_on, new.ends_on)
    link = matching.link_of(new)
    async with database.transaction(school_id=school_id) as tx:
        try:
            added = await queries.add_link(tx, school_id=school_id, link=link)
        except ForeignKeyViolation:
            raise NotFound("There is no such guardian or student.") from None
        if not added:
            raise rules.LinkExists("Change that link; an ended one can be made active again.")
        await record(tx, school_id, [link], user_id=user_id, now=now)
    return link


async def change_link(
    database: Database,
    school_id: UUID,
    link_id: UUID,
    change: GuardianLinkChange,
    *,
    user_id: UUID,
    now: datetime,
) -> GuardianLink:
    """Raises NotFound, EndsBeforeStart, PreconditionFailed when somebody else changed the link since."""
    wanted = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    async with database.transaction(school_id=school_id) as tx:
        before = await queries.link(tx, school_id=school_id, link_id=link_id)
        if before is None:
            raise NotFound
        changed = msgspec.structs.replace(before, **wanted)
        rules.require_order(changed.starts_on, changed.ends_on)
        if not await queries.save_link(tx, school_id=school_id, link=changed):
            raise PreconditionFailed(f"The link is at version {before.version}.")
        after = msgspec.structs.replace(changed, version=change.version + 1)
        await record(tx, school_id, [after], user_id=user_id, now=now)
    return after


async def take_csv(
    database: Database, school_id: UUID, content: bytes, *, dry_run: bool, user_id: UUID, now: datetime
) -> CsvResult:
    """Take over a CSV of guardians and links: all of it or nothing (ADR 0710). The same file again changes nothing.

    Raises UnreadableCsv with the line, column and reason of each fault, ChangedMeanwhile with the line that somebody
    else was quicker with.
    """
    rows = rules.read_csv(content)
    async with database.transaction(school_id=school_id) as tx:
        await queries.lock_csv(tx, school_id=school_id)
        plan = matching.plan(rows, await _known(tx, school_id))
        if not dry_run:
            await _write(tx, school_id, plan, user_id=user_id, now=now)
    return CsvResult(
        dry_run=dry_run,
        guardians_created=len(plan.guardians),
        links_created=len(plan.added),
        links_changed=len(plan.changed),
        links_unchanged=len(plan.unchanged),
    )


async def _known(tx: Tx, school_id: UUID) -> matching.Known:
    """Links before guardians: of a link that somebody adds meanwhile, the guardian is among them."""
    students = await people.student_ids(tx, school_id=school_id)
    links = await queries.all_links(tx, school_id=school_id)
    guardians = await queries.all_guardians(tx, school_id=school_id)
    return matching.Known(students=students, guardians=guardians, links=links)


async def _write(tx: Tx, school_id: UUID, plan: Plan, *, user_id: UUID, now: datetime) -> None:
    """Who adds or changes one guardian or link takes no lock of the CSV: what they did since is found here."""
    for each in plan.guardians:
        if not await queries.add_guardian(tx, school_id=school_id, guardian=each.guardian):
            raise rules.ChangedMeanwhile.at(each.line)
    for each in plan.added:
        if not await queries.add_link(tx, school_id=school_id, link=each.link):
            raise rules.ChangedMeanwhile.at(each.line)
    for each in plan.changed:
        if not await queries.save_link(tx, school_id=school_id, link=each.link):
            raise rules.ChangedMeanwhile.at(each.line)
    added = [each.link for each in plan.added]
    raised = [msgspec.structs.replace(each.link, version=each.link.version + 1) for each in plan.changed]
    await tell_of_guardians(tx, school_id, [each.guardian for each in plan.guardians])
    await record(tx, school_id, [*added, *raised], user_id=user_id, now=now)


async def record(tx: Tx, school_id: UUID, links: Sequence[GuardianLink], *, user_id: UUID, now: datetime) -> None:
    """Keep who changed the links, and tell the others how they now are."""
    await queries.record_changes(tx, school_id=school_id, links=links, user_id=user_id, now=now)
    events = [Event(data=_link_changed(link), subject=str(link.id), version=link.version) for link in links]
    await publish_all(tx, events, school_id=school_id)


def _link_changed(link: GuardianLink) -> GuardianLinkChanged:
    fields = msgspec.structs.asdict(link)
    del fields["version"]
    return GuardianLinkChanged(guardian_link_id=fields.pop("id"), **fields)


async def tell_of_guardians(tx: Tx, school_id: UUID, guardians: Sequence[Guardian]) -> None:
    events = [
        Event(
            data=GuardianChanged(
                guardian_id=guardian.id,
                given_name=guardian.given_name,
                family_name=guardian.family_name,
                email=guardian.email,
                is_active=guardian.is_active,
            ),
            subject=str(guardian.id),
            version=guardian.version,
        )
        for guardian in guardians
    ]
    await publish_all(tx, events, school_id=school_id)
