"""Lessons over HTTP: what a teacher, student or guardian has on a day, and the office's changes to it."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from services.academic import access, caches
from services.academic.timetable import actions, queries, rules
from services.academic.timetable.queries import ClashRow
from services.academic.timetable.rules import NotASchoolDay, TimetableClash
from services.academic.timetable.schemas import Lesson, LessonChange, LessonsOfDay, NewLesson
from shared import clock
from shared.cache import Cache
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound, PreconditionFailed
from shared.web.conditional import Answers

Day = Annotated[date | None, QueryParameter(description="A date of the school's calendar; today unless told.")]
OfStudent = Annotated[UUID | None, QueryParameter(description="Whose lessons; a guardian names one of their children.")]


class ClashKey(msgspec.Struct, frozen=True):
    day: date
    class_id: UUID
    period: str


@get(
    "/lessons",
    operation_id="list_lessons",
    summary="The lessons of a day: one's own, a child's, or for the office all of them.",
    opt={"permission": "lesson.read", "problems": (NotFound,), "cached": caches.LESSONS},
)
async def list_lessons(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    day: Day = None,
    student_id: OfStudent = None,
) -> Response[LessonsOfDay]:
    reader = database.reader(school_id=caller.school)
    zone = await caches.time_zone_of(answers.cache, reader, school_id=caller.school)
    today = clock.school_day(clock.now(), zone)
    scope = await access.lesson_scope(reader, caller, student_id=student_id, today=today)
    wanted = day or today

    async def planned() -> LessonsOfDay:
        return await actions.lessons_of_day(
            reader, caller.school, wanted, time_zone=zone, teacher_id=scope.teacher_id, student_id=scope.student_id
        )

    # The zone was read before: in the key, so that an answer by an old one is not kept for those who ask by the new.
    asked = (wanted, zone, scope.teacher_id, scope.student_id)
    lessons = await answers.part(caller.school, asked, LessonsOfDay, planned)
    return answers.conditional(msgspec.json.encode(await actions.with_registers(reader, caller.school, lessons)))


@get(
    "/lessons/{lesson_id:uuid}",
    operation_id="show_lesson",
    summary="One lesson, for its teachers and the office.",
    opt={"permission": "register.take", "problems": (NotFound,)},
)
async def show_lesson(
    lesson_id: FromPath[UUID],
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
) -> Lesson:
    reader = database.reader(school_id=caller.school)
    zone = await caches.time_zone_of(cache, reader, school_id=caller.school)
    return rules.require_own_lesson(caller, await actions.local_lesson(reader, caller.school, lesson_id, zone))


@post(
    "/lessons",
    operation_id="add_lesson",
    summary="Add a lesson besides those of the timetable.",
    opt={"permission": "timetable.manage", "problems": (NotASchoolDay, TimetableClash, NotFound)},
)
async def add_lesson(
    data: JSONBody[NewLesson], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Lesson:
    return await actions.add_lesson(database, caller.school, data)


@patch(
    "/lessons/{lesson_id:uuid}",
    operation_id="change_lesson",
    summary="Cancel a lesson, bring it back, or give it another room.",
    opt={"permission": "timetable.manage", "problems": (NotASchoolDay, TimetableClash, PreconditionFailed, NotFound)},
)
async def change_lesson(
    lesson_id: FromPath[UUID],
    data: JSONBody[LessonChange],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> Lesson:
    return await actions.change_lesson(database, caller, lesson_id, data, now=clock.now())


@get(
    "/timetable-clashes",
    operation_id="list_timetable_clashes",
    summary="Lessons that the classes ask for and that cannot be, each with the class in its way.",
    opt={"permission": "timetable.manage"},
)
async def list_timetable_clashes(
    database: NamedDependency[Database], caller: NamedDependency[Caller], limit: Limit = 50, cursor: Cursor = None
) -> Page[ClashRow]:
    after = decode_cursor(cursor, ClashKey) or ClashKey(date.min, UUID(int=0), "")
    found = await queries.clashes(
        database.reader(school_id=caller.school),
        school_id=caller.school,
        after=(after.day, after.class_id, after.period),
        limit=limit + 1,
    )
    return page(
        found,
        limit=limit,
        path="/api/v1/timetable-clashes",
        key=lambda clash: ClashKey(clash.day, clash.class_id, clash.period),
    )


router = Router(
    "/api/v1", route_handlers=[list_lessons, show_lesson, add_lesson, change_lesson, list_timetable_clashes]
)
