"""Guardians and their links to children: one by one, and many at once out of a CSV."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from services.academic.guardians import queries, rules
from services.academic.guardians.schemas import (
    CsvResult,
    Guardian,
    GuardianChange,
    GuardianLink,
    GuardianLinkChange,
    LinkRow,
    NewGuardian,
    NewGuardianLink,
)
from services.academic.people import queries as people
from shared.contracts.academic import GuardianChanged, GuardianLinkChanged
from shared.database import Database, Tx
from shared.ids import new_id
from shared.outbox import Event, publish_all
from shared.problems import Conflict, FieldError, NotFound, PreconditionFailed


class GuardianExists(Conflict):
    slug = "guardian-exists"
    title = "There is a guardian of this name and mailbox already"


def guardian_of(new: NewGuardian) -> Guardian:
    return Guardian(id=new_id(), is_active=True, version=1, **msgspec.structs.asdict(new))


async def add_guardian(database: Database, school_id: UUID, new: NewGuardian) -> Guardian:
    """Raises GuardianExists."""
    guardian = guardian_of(new)
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
    link = GuardianLink(id=new_id(), is_active=True, version=1, **msgspec.structs.asdict(new))
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
    """Take over a CSV of guardians and links: all of it or nothing. The same file again changes nothing.

    Raises UnreadableCsv with the line, column and reason of each fault.
    """
    rows = rules.read_csv(content)
    async with database.transaction(school_id=school_id) as tx:
        students = await people.student_ids(tx, school_id=school_id)
        _require_students(rows, students)
        known = {_identity_of(each): each for each in await queries.all_guardians(tx, school_id=school_id)}
        created = {rules.identity(row.guardian): guardian_of(row.guardian) for row in rows} | known
        new = [guardian for key, guardian in created.items() if key not in known]
        links = {(each.guardian_id, each.student_id): each for each in await queries.all_links(tx, school_id=school_id)}
        wanted = [_link_of(row, created, students, links) for row in rows]
        added = [link for link in wanted if (link.guardian_id, link.student_id) not in links]
        changed = [
            link
            for link in wanted
            if (before := links.get((link.guardian_id, link.student_id))) is not None and before != link
        ]
        if not dry_run:
            await _write(tx, school_id, new, added, changed, user_id=user_id, now=now)
    return CsvResult(
        dry_run=dry_run,
        guardians_created=len(new),
        links_created=len(added),
        links_changed=len(changed),
        links_unchanged=len(wanted) - len(added) - len(changed),
    )


def _identity_of(guardian: Guardian) -> tuple[str, str, str]:
    return ((guardian.email or "").lower(), guardian.given_name.lower(), guardian.family_name.lower())


def _require_students(rows: Sequence[LinkRow], students: Mapping[str, UUID]) -> None:
    errors = [
        FieldError(f"line/{row.line}/student_sourced_id", f"No student {row.student_sourced_id!r} at this school.")
        for row in rows
        if row.student_sourced_id not in students
    ]
    if errors:
        detail = f"{len(errors)} faults; nothing was changed."
        raise rules.UnreadableCsv(detail, errors=errors[: rules.MAX_ERRORS])


def _link_of(
    row: LinkRow,
    guardians: Mapping[tuple[str, str, str], Guardian],
    students: Mapping[str, UUID],
    links: Mapping[tuple[UUID, UUID], GuardianLink],
) -> GuardianLink:
    """The link that a line asks for; over the one that is there, when there is one."""
    guardian_id = guardians[rules.identity(row.guardian)].id
    student_id = students[row.student_sourced_id]
    before = links.get((guardian_id, student_id))
    return GuardianLink(
        id=before.id if before else new_id(),
        guardian_id=guardian_id,
        student_id=student_id,
        is_active=True,
        version=before.version if before else 1,
        **msgspec.structs.asdict(row.terms),
    )


async def _write(
    tx: Tx,
    school_id: UUID,
    guardians: Sequence[Guardian],
    added: Sequence[GuardianLink],
    changed: Sequence[GuardianLink],
    *,
    user_id: UUID,
    now: datetime,
) -> None:
    for guardian in guardians:
        await queries.add_guardian(tx, school_id=school_id, guardian=guardian)
    for link in added:
        await queries.add_link(tx, school_id=school_id, link=link)
    for link in changed:
        await queries.save_link(tx, school_id=school_id, link=link)
    raised = [msgspec.structs.replace(link, version=link.version + 1) for link in changed]
    await tell_of_guardians(tx, school_id, guardians)
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
