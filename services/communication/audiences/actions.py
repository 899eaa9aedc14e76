"""Whether an author may write to an audience, and whom it comes to."""

from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from services.communication.audiences import queries, rules
from services.communication.audiences.schemas import Audience, Author, Preview, RecipientKey
from shared.database import Tx

FIRST: Final = RecipientKey("", "", "", UUID(int=0))
SHOWN: Final = 20


async def require(tx: Tx, school_id: UUID, author: Author, audience: Audience, *, day: date) -> None:
    """Raises OutsideYourClasses for what is not a teacher's to address, UnknownInAudience for what is not there."""
    if author.teacher_id is not None:
        rules.require_own_classes(audience)
    class_ids = [class_id for _, class_id in rules.class_ids(audience)]
    if class_ids:
        known = await queries.classes_of(tx, school_id=school_id, author=author, class_ids=class_ids, day=day)
        rules.require_known(rules.class_ids(audience), known)
    persons = rules.persons_only(audience)
    if persons.person_ids:
        known = await queries.reachable(tx, school_id=school_id, author=author, reach=persons, day=day)
        rules.require_known(rules.person_ids(audience), known)


async def require_reach(tx: Tx, school_id: UUID, author: Author, audience: Audience, *, day: date) -> None:
    """As `require`, of one that is frozen: whom it leaves out may be gone by now."""
    await require(tx, school_id, author, msgspec.structs.replace(audience, exclude=[]), day=day)


async def preview(tx: Tx, school_id: UUID, author: Author, audience: Audience, *, day: date) -> Preview:
    reach = rules.reach_of(audience)
    by_role = await queries.counts(
        tx, school_id=school_id, author=author, reach=reach, exclude=audience.exclude, day=day
    )
    first = await queries.recipients(
        tx,
        school_id=school_id,
        author=author,
        reach=reach,
        exclude=audience.exclude,
        day=day,
        after=FIRST,
        limit=SHOWN,
    )
    return Preview(recipients=sum(each.recipients for each in by_role), by_role=by_role, first=first)


async def require_somebody(tx: Tx, school_id: UUID, author: Author, audience: Audience, *, day: date) -> None:
    """Raises NobodyToTell."""
    reach = rules.reach_of(audience)
    if not await queries.reaches_somebody(
        tx, school_id=school_id, author=author, reach=reach, exclude=audience.exclude, day=day
    ):
        raise rules.NobodyToTell("Look at its audience; nobody would have been told.")
