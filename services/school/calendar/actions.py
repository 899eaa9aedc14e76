"""Changing a school's calendar. Every change counts its version up and tells the whole of it, once."""

from datetime import date
from uuid import UUID

import msgspec

from services.school.calendar import queries, rules
from services.school.calendar.schemas import (
    BellSchedule,
    GradeDays,
    NewBellSchedule,
    NewCalendarDay,
    NewGradeDays,
    NewSession,
    SessionDates,
    SpecialDay,
)
from services.school.rotations import queries as rotations
from services.school.schools import queries as schools
from services.school.schools.actions import lock_school
from shared.contracts.school import AcademicSession, CalendarChanged
from shared.database import Database, Tx
from shared.ids import new_id
from shared.outbox import publish
from shared.problems import NotFound


async def add_session(database: Database, school_id: UUID, new: NewSession) -> AcademicSession:
    """Raises NotFound, InvalidSession, CalendarFull."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        known = await queries.all_sessions(tx, school_id=school_id)
        rules.require_space(len(known), rules.MAX_SESSIONS)
        parents = {each.academic_session_id: each for each in known}
        rules.require_nested(new, parents.get(new.parent_id) if new.parent_id else None)
        session = AcademicSession(
            academic_session_id=new_id(),
            title=new.title,
            kind=new.kind,
            starts_on=new.starts_on,
            ends_on=new.ends_on,
            parent_id=new.parent_id,
        )
        await queries.save_sessions(tx, school_id=school_id, sessions=[session])
        await tell_of_calendar(tx, school_id)
    return session


async def correct_session(
    database: Database, school_id: UUID, session_id: UUID, dates: SessionDates
) -> AcademicSession:
    """Raises NotFound, InvalidSession."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        known = await queries.all_sessions(tx, school_id=school_id)
        before = next((each for each in known if each.academic_session_id == session_id), None)
        if before is None:
            raise NotFound
        session = msgspec.structs.replace(before, **msgspec.structs.asdict(dates))
        rules.require_fitting(session, known)
        if session != before:
            await queries.save_sessions(tx, school_id=school_id, sessions=[session])
            await tell_of_calendar(tx, school_id)
    return session


async def replace_bell_schedule(database: Database, school_id: UUID, new: NewBellSchedule) -> BellSchedule:
    """Raises NotFound, InvalidBellSchedule."""
    periods = rules.bell_periods(new.periods)
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        rules.require_no_clash(periods, await rotations.rotation(tx, school_id=school_id))
        if periods != await queries.bell_periods(tx, school_id=school_id):
            await queries.forget_bell_periods(tx, school_id=school_id)
            await queries.add_bell_periods(tx, school_id=school_id, periods=periods)
            await tell_of_calendar(tx, school_id)
    return BellSchedule(periods=periods)


async def save_calendar_day(database: Database, school_id: UUID, day: date, new: NewCalendarDay) -> SpecialDay:
    """Raises NotFound, InvalidCalendarDay, InvalidBellSchedule, CalendarFull."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        known = {each.day: each for each in await queries.kept_days(tx, school_id=school_id)}
        rules.require_space(len(known.keys() - {day}), rules.MAX_CALENDAR_DAYS)
        # A holiday is nobody's turn; the day that it is to be instead may be somebody's.
        await queries.forget_calendar_day(tx, school_id=school_id, day=day)
        bells = await queries.usual_bells(tx, school_id=school_id)
        saved = rules.special_day(day, new, bells)
        await queries.save_calendar_day(tx, school_id=school_id, day=saved)
        if known.get(day) != saved:
            await tell_of_calendar(tx, school_id)
    return rules.as_held(saved, bells)


async def forget_calendar_day(database: Database, school_id: UUID, day: date) -> None:
    """Let the day be as its weekday says. Raises NotFound when it already is."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        if not await queries.forget_calendar_day(tx, school_id=school_id, day=day):
            raise NotFound
        await tell_of_calendar(tx, school_id)


async def save_grade_days(database: Database, school_id: UUID, day: date, new: NewGradeDays) -> GradeDays:
    """Raises NotFound, InvalidCalendarDay, InvalidBellSchedule, CalendarFull."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        bells = await queries.usual_bells(tx, school_id=school_id)
        saved = rules.grade_days(day, new.grade_days, bells)
        known = await queries.kept_grade_days(tx, school_id=school_id)
        before = [each for each in known if each.day == day]
        rules.require_space(len(known) - len(before), rules.MAX_GRADE_DAYS, more=len(saved))
        if before != saved:
            await queries.forget_grade_days(tx, school_id=school_id, day=day)
            await queries.add_grade_days(tx, school_id=school_id, day=day, grade_days=saved)
            await tell_of_calendar(tx, school_id)
    return GradeDays(day=day, grade_days=[rules.as_held(each, bells) for each in saved])


async def forget_grade_days(database: Database, school_id: UUID, day: date) -> None:
    """Let every grade have the school's day. Raises NotFound when they all do."""
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        if not await queries.forget_grade_days(tx, school_id=school_id, day=day):
            raise NotFound
        await tell_of_calendar(tx, school_id)


async def tell_of_calendar(tx: Tx, school_id: UUID) -> None:
    """Count a change and tell the calendar as it now is. The school's row must be locked."""
    version = await schools.count_calendar_change(tx, school_id=school_id)
    await publish_calendar(tx, await queries.calendar(tx, school_id=school_id), version=version)


async def publish_calendar(tx: Tx, calendar: CalendarChanged, *, version: int) -> None:
    await publish(tx, calendar, school_id=calendar.school_id, subject=str(calendar.school_id), version=version)
