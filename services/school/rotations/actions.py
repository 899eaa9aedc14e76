"""Letting weeks or days take turns. It changes the calendar, which is told as a whole."""

from uuid import UUID

from services.school.calendar import queries as calendar
from services.school.calendar.actions import tell_of_calendar
from services.school.rotations import queries, rules
from services.school.rotations.schemas import Rotation
from services.school.schools.actions import lock_school
from shared.database import Database
from shared.problems import NotFound


async def save_rotation(database: Database, school_id: UUID, asked: Rotation) -> Rotation:
    """Raises NotFound, InvalidRotation."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        saved = rules.require_rotation(asked, await calendar.bell_periods(tx, school_id=school_id))
        if await queries.rotation(tx, school_id=school_id) != saved:
            await queries.save_rotation(tx, school_id=school_id, rotation=saved)
            await tell_of_calendar(tx, school_id)
    return saved


async def forget_rotation(database: Database, school_id: UUID) -> None:
    """Let every week be alike. Raises NotFound when they all are."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        if not await queries.forget_rotation(tx, school_id=school_id):
            raise NotFound
        await tell_of_calendar(tx, school_id)
