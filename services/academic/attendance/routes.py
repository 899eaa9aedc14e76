"""Registers, days and codes over HTTP."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from services.academic import access, caches
from services.academic.attendance import actions, queries
from services.academic.attendance.rules import (
    AlertingPresence,
    LessonCancelled,
    LessonNotYet,
    LessonOnHoliday,
    NobodyMarked,
    ReasonNeeded,
    StaleRegister,
    UnexcusedSuggestion,
    UnreadableRegister,
    require_code,
    require_range,
)
from services.academic.attendance.schemas import (
    AttendanceCode,
    AttendanceCodeChange,
    AttendanceDays,
    RecordedMark,
    Register,
    RegisterRequest,
    StudentDay,
)
from services.academic.timetable import queries as timetable
from services.academic.timetable.rules import require_own_lesson
from shared import clock
from shared.cache import Cache
from shared.database import Database
from shared.identity import Caller
from shared.problems import BadRequest, NotFound

AsOf = Annotated[
    datetime | None, QueryParameter(description="The register as it was known at this instant (with an offset).")
]
Day = Annotated[date | None, QueryParameter(description="A date of the school's calendar; today unless told.")]
From = Annotated[date | None, QueryParameter(name="from", description="The first day; 30 days ago unless told.")]
To = Annotated[date | None, QueryParameter(name="to", description="The last day, included; today unless told.")]


@get(
    "/lessons/{lesson_id:uuid}/register",
    operation_id="show_register",
    summary="The register of a lesson: everyone on the roll with their mark, now or as known at an instant.",
    opt={"permission": "register.take", "problems": (NotFound, BadRequest)},
)
async def show_register(
    lesson_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller], as_of: AsOf = None
) -> Register:
    if as_of is not None and as_of.tzinfo is None:
        raise BadRequest("`as_of` needs an offset, such as 2026-09-01T09:30:00-05:00 or …Z.")
    reader = database.reader(school_id=caller.school)
    found = await timetable.lesson(reader, school_id=caller.school, lesson_id=lesson_id)
    return await actions.register_of(reader, caller.school, require_own_lesson(caller, found), as_of=as_of)


@put(
    "/lessons/{lesson_id:uuid}/register",
    operation_id="take_register",
    summary="Save the register of a class in one call; a stale one is refused with the register as it now is.",
    opt={
        "permission": "register.take",
        "problems": (
            NotFound,
            StaleRegister,
            LessonNotYet,
            LessonCancelled,
            LessonOnHoliday,
            UnreadableRegister,
            ReasonNeeded,
            NobodyMarked,
        ),
    },
)
async def take_register(
    lesson_id: FromPath[UUID],
    data: JSONBody[RegisterRequest],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> Register:
    return await actions.take_register(database, caller, lesson_id, data, now=clock.now())


@get(
    "/lessons/{lesson_id:uuid}/register/history",
    operation_id="show_register_history",
    summary="Every mark that was ever made in a register: by whom, when, why.",
    opt={"permission": "register.take", "problems": (NotFound,)},
)
async def show_register_history(
    lesson_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> list[RecordedMark]:
    reader = database.reader(school_id=caller.school)
    require_own_lesson(caller, await timetable.lesson(reader, school_id=caller.school, lesson_id=lesson_id))
    return await queries.history(reader, school_id=caller.school, lesson_id=lesson_id)


@get(
    "/students/{student_id:uuid}/day",
    operation_id="show_student_day",
    summary="A student's lessons of one day, with their marks.",
    opt={"permission": "attendance.read", "problems": (NotFound,)},
)
async def show_student_day(
    student_id: FromPath[UUID],
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
    day: Day = None,
) -> StudentDay:
    reader = database.reader(school_id=caller.school)
    zone = await caches.time_zone_of(cache, reader, school_id=caller.school)
    today = clock.school_day(clock.now(), zone)
    await access.require_student(reader, caller, student_id, today=today)
    return await actions.student_day(reader, caller.school, student_id, day or today, time_zone=zone)


@get(
    "/students/{student_id:uuid}/attendance",
    operation_id="list_attendance",
    summary="A student's marked days, newest first.",
    opt={"permission": "attendance.read", "problems": (NotFound, BadRequest)},
)
async def list_attendance(
    student_id: FromPath[UUID],
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
    from_: From = None,
    to: To = None,
) -> AttendanceDays:
    reader = database.reader(school_id=caller.school)
    today = await caches.today(cache, reader, school_id=caller.school)
    await access.require_student(reader, caller, student_id, today=today)
    first, last = require_range(from_, to, today=today)
    days = await queries.days_of_student(
        reader, school_id=caller.school, student_id=student_id, starts_on=first, ends_on=last
    )
    return AttendanceDays(starts_on=first, ends_on=last, items=days)


@get(
    "/attendance-codes",
    operation_id="list_attendance_codes",
    summary="The school's codes and what each counts as.",
    opt={"permission": "attendance_code.read"},
)
async def list_attendance_codes(
    database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> list[AttendanceCode]:
    return await queries.codes(database.reader(school_id=caller.school), school_id=caller.school)


@put(
    "/attendance-codes/{code:str}",
    operation_id="save_attendance_code",
    summary="Add or change a code; marks made with it keep what it meant then.",
    opt={"permission": "attendance_code.manage", "problems": (AlertingPresence, UnexcusedSuggestion, NotFound)},
)
async def save_attendance_code(
    code: FromPath[str],
    data: JSONBody[AttendanceCodeChange],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> AttendanceCode:
    return await actions.save_code(database, caller.school, require_code(code), data)


router = Router(
    "/api/v1",
    route_handlers=[
        show_register,
        take_register,
        show_register_history,
        show_student_day,
        list_attendance,
        list_attendance_codes,
        save_attendance_code,
    ],
)
