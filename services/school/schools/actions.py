"""Changing a school's settings, and telling of it."""

from uuid import UUID

from services.school.directory import queries as directory
from services.school.schools import queries, rules
from services.school.schools.schemas import School, SchoolChange
from shared.database import Database, Tx
from shared.outbox import publish
from shared.problems import NotFound


async def change_school(database: Database, school_id: UUID, change: SchoolChange) -> School:
    """Raises NotFound, and what `rules.changed` raises."""
    async with database.transaction(school_id=school_id) as tx:
        before = await lock_school(tx, school_id)
        return await save_school(tx, before, rules.changed(before, change))


async def lock_school(tx: Tx, school_id: UUID) -> School:
    """Raises NotFound for a token of a school that was never imported here."""
    found = await queries.lock_school(tx, school_id=school_id)
    if found is None:
        raise NotFound
    return found


async def save_school(tx: Tx, before: School, after: School) -> School:
    """Save and tell, if there is anything to tell."""
    if after != before:
        await queries.save_school(tx, school=after)
        await directory.rename_school(tx, school_id=after.school_id, name=after.name)
        await tell_of_school(tx, after)
    return after


async def tell_of_school(tx: Tx, school: School) -> None:
    await publish(
        tx, rules.as_event(school), school_id=school.school_id, subject=str(school.school_id), version=school.version
    )
