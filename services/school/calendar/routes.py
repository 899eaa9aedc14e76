"""Sessions, bell schedule and calendar days over HTTP."""

from datetime import date
from typing import Final
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.school.caches import BELLS, DAYS, GRADE_DAYS, SESSIONS
from services.school.calendar import actions, queries
from services.school.calendar.rules import CalendarFull, InvalidBellSchedule, InvalidCalendarDay, InvalidSession
from services.school.calendar.schemas import (
    BellSchedule,
    GradeDays,
    NewBellSchedule,
    NewCalendarDay,
    NewGradeDays,
    NewSession,
    SessionDates,
    SessionKey,
    SpecialDay,
)
from services.school.dates import FirstDay, LastDay, wanted_dates
from shared.contracts.school import AcademicSession
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound
from shared.web.conditional import Answers

READ: Final = {"permission": "school.read"}
MANAGE: Final = {"permission": "school.manage"}
FIRST_SESSION: Final = SessionKey(date.min, UUID(int=0))


@get(
    "/academic-sessions",
    operation_id="list_academic_sessions",
    summary="Years, terms and grading periods.",
    opt={**READ, "cached": SESSIONS},
)
async def list_academic_sessions(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[AcademicSession]]:
    after = decode_cursor(cursor, SessionKey) or FIRST_SESSION

    async def read() -> Page[AcademicSession]:
        reader = database.reader(school_id=caller.school)
        return page(
            await queries.sessions(reader, school_id=caller.school, after=after, limit=limit + 1),
            limit=limit,
            path="/api/v1/academic-sessions",
            key=lambda each: SessionKey(each.starts_on, each.academic_session_id),
        )

    return await answers.of(caller.school, (after, limit), read)


@post(
    "/academic-sessions",
    operation_id="add_academic_session",
    summary="Add a school year, or a term or grading period inside another session.",
    opt={**MANAGE, "problems": (NotFound, InvalidSession, CalendarFull)},
)
async def add_academic_session(
    data: JSONBody[NewSession], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> AcademicSession:
    return await actions.add_session(database, caller.school, data)


@put(
    "/academic-sessions/{academic_session_id:uuid}",
    operation_id="correct_academic_session",
    summary="Correct the title and dates of a session; what a roster brought is, later, as its next import says.",
    opt={**MANAGE, "problems": (NotFound, InvalidSession)},
)
async def correct_academic_session(
    academic_session_id: FromPath[UUID],
    data: JSONBody[SessionDates],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> AcademicSession:
    return await actions.correct_session(database, caller.school, academic_session_id, data)


@get(
    "/bell-schedules",
    operation_id="show_bell_schedule",
    summary="The periods of each weekday.",
    opt={**READ, "cached": BELLS},
)
async def show_bell_schedule(
    database: NamedDependency[Database], caller: NamedDependency[Caller], answers: NamedDependency[Answers]
) -> Response[BellSchedule]:
    async def read() -> BellSchedule:
        reader = database.reader(school_id=caller.school)
        return BellSchedule(periods=await queries.bell_periods(reader, school_id=caller.school))

    return await answers.of(caller.school, (), read)


@put(
    "/bell-schedules",
    operation_id="replace_bell_schedule",
    summary="Replace the periods of the whole week.",
    opt={**MANAGE, "problems": (NotFound, InvalidBellSchedule)},
)
async def replace_bell_schedule(
    data: JSONBody[NewBellSchedule], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> BellSchedule:
    return await actions.replace_bell_schedule(database, caller.school, data)


@get(
    "/calendar-days",
    operation_id="list_calendar_days",
    summary="Holidays and special days, by date.",
    opt={**READ, "cached": DAYS},
)
async def list_calendar_days(
    *,
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    from_: FirstDay = None,
    to: LastDay = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[SpecialDay]]:
    dates = wanted_dates(from_, to, limit, cursor)

    async def read() -> Page[SpecialDay]:
        found = await queries.calendar_days(
            database.reader(school_id=caller.school),
            school_id=caller.school,
            first=dates.first,
            last=dates.last,
            after=dates.after,
            limit=limit + 1,
        )
        return dates.page(found, path="/api/v1/calendar-days")

    return await answers.of(caller.school, dates, read)


@put(
    "/calendar-days/{day:date}",
    operation_id="save_calendar_day",
    summary="Make a day a holiday, or a special day: with bells of its own, a late start or an early close.",
    opt={**MANAGE, "problems": (NotFound, InvalidCalendarDay, InvalidBellSchedule, CalendarFull)},
)
async def save_calendar_day(
    day: FromPath[date],
    data: JSONBody[NewCalendarDay],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> SpecialDay:
    return await actions.save_calendar_day(database, caller.school, day, data)


@delete(
    "/calendar-days/{day:date}",
    operation_id="forget_calendar_day",
    summary="Let a day be as its weekday says again.",
    opt={**MANAGE, "problems": (NotFound,)},
)
async def forget_calendar_day(
    day: FromPath[date], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> None:
    await actions.forget_calendar_day(database, caller.school, day)


@get(
    "/grade-days",
    operation_id="list_grade_days",
    summary="Days that some grades have instead of the school's, by date.",
    opt={**READ, "cached": GRADE_DAYS},
)
async def list_grade_days(
    *,
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    from_: FirstDay = None,
    to: LastDay = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[GradeDays]]:
    dates = wanted_dates(from_, to, limit, cursor)

    async def read() -> Page[GradeDays]:
        found = await queries.grade_days(
            database.reader(school_id=caller.school),
            school_id=caller.school,
            first=dates.first,
            last=dates.last,
            after=dates.after,
            limit=limit + 1,
        )
        return dates.page(found, path="/api/v1/grade-days")

    return await answers.of(caller.school, dates, read)


@put(
    "/grade-days/{day:date}",
    operation_id="save_grade_days",
    summary="Give some grades a day of their own: off, in school while others are off, or with other bells.",
    opt={**MANAGE, "problems": (NotFound, InvalidCalendarDay, InvalidBellSchedule, CalendarFull)},
)
async def save_grade_days(
    day: FromPath[date],
    data: JSONBody[NewGradeDays],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> GradeDays:
    return await actions.save_grade_days(database, caller.school, day, data)


@delete(
    "/grade-days/{day:date}",
    operation_id="forget_grade_days",
    summary="Let every grade have the school's day again.",
    opt={**MANAGE, "problems": (NotFound,)},
)
async def forget_grade_days(
    day: FromPath[date], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> None:
    await actions.forget_grade_days(database, caller.school, day)


router = Router(
    "/api/v1",
    route_handlers=[
        list_academic_sessions,
        add_academic_session,
        correct_academic_session,
        show_bell_schedule,
        replace_bell_schedule,
        list_calendar_days,
        save_calendar_day,
        forget_calendar_day,
        list_grade_days,
        save_grade_days,
        forget_grade_days,
    ],
)
