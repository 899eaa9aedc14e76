"""Keeping the read models of the school service right, whatever the order in which its events come."""

from uuid import UUID

from services.academic.calendar import queries
from shared.contracts.school import CalendarChanged, SchoolChanged
from shared.database import Tx


async def save_school(tx: Tx, school_id: UUID, school: SchoolChanged, *, version: int) -> bool:
    """Save a school and its settings; whether they are news."""
    return await queries.save_school(tx, school_id=school_id, school=school, version=version)


async def save_calendar(tx: Tx, school_id: UUID, calendar: CalendarChanged, *, version: int) -> bool:
    """Replace the whole calendar; whether it is news."""
    if not await queries.take_calendar_version(tx, school_id=school_id, version=version):
        return False
    await queries.forget_calendar(tx, school_id=school_id)
    await queries.add_sessions(tx, school_id=school_id, sessions=calendar.academic_sessions)
    await queries.add_bell_periods(tx, school_id=school_id, periods=calendar.bell_periods)
    await queries.add_calendar_days(tx, school_id=school_id, days=calendar.calendar_days)
    await queries.add_grade_days(tx, school_id=school_id, days=calendar.grade_days)
    return True
