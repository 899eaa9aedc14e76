"""Keeping the read models of the school service right, whatever the order in which its events come."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec

from services.academic.calendar import queries, rules
from shared.contracts.school import CalendarChanged, SchoolChanged
from shared.database import Tx


class SavedCalendar(msgspec.Struct, frozen=True, kw_only=True):
    """What saving a calendar came to."""

    is_news: bool
    days_off_to_judge: Mapping[date, Sequence[str]] = {}
    """As `rules.days_off_to_judge`."""


async def save_school(tx: Tx, school_id: UUID, school: SchoolChanged, *, version: int) -> bool:
    """Save a school and its settings; whether they are news."""
    return await queries.save_school(tx, school_id=school_id, school=school, version=version)


async def save_calendar(tx: Tx, school_id: UUID, calendar: CalendarChanged, *, version: int) -> SavedCalendar:
    """Replace the whole calendar, if it is news."""
    if not await queries.take_calendar_version(tx, school_id=school_id, version=version):
        return SavedCalendar(is_news=False)
    before = await queries.calendar(tx, school_id=school_id)
    await queries.forget_calendar(tx, school_id=school_id)
    await queries.add_sessions(tx, school_id=school_id, sessions=calendar.academic_sessions)
    await queries.add_bell_periods(tx, school_id=school_id, periods=calendar.bell_periods)
    await queries.add_calendar_days(tx, school_id=school_id, days=calendar.calendar_days)
    await queries.add_grade_days(tx, school_id=school_id, days=calendar.grade_days)
    after = await queries.calendar(tx, school_id=school_id)
    today = await queries.today(tx, school_id=school_id)
    return SavedCalendar(is_news=True, days_off_to_judge=rules.days_off_to_judge(before, after, today=today))
