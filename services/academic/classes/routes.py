"""Courses and classes over HTTP."""

from uuid import UUID

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.academic import access, caches
from services.academic.classes import actions, queries
from services.academic.classes.schemas import ClassChange, Course, NewClass, SchoolClass
from shared import clock
from shared.database import Database
from shared.identity import Caller, Role
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound, PreconditionFailed
from shared.web.conditional import Answers


class TitleKey(msgspec.Struct, frozen=True):
    title: str
    id: UUID


FIRST = TitleKey("", UUID(int=0))


@get(
    "/courses",
    operation_id="list_courses",
    summary="The school's courses.",
    opt={"permission": "class.read", "cached": caches.COURSES},
)
async def list_courses(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[Course]]:
    after = decode_cursor(cursor, TitleKey) or FIRST
    reader = database.reader(school_id=caller.school)

    async def read() -> Page[Course]:
        found = await queries.courses(reader, school_id=caller.school, after=(after.title, after.id), limit=limit + 1)
        return page(found, limit=limit, path="/api/v1/courses", key=lambda each: TitleKey(each.title, each.id))

    return await answers.of(caller.school, (after, limit), read)


@get(
    "/classes",
    operation_id="list_classes",
    summary="The classes that the caller teaches today; for the office all of them.",
    opt={"permission": "class.read", "cached": caches.CLASSES},
)
async def list_classes(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[SchoolClass]]:
    after = decode_cursor(cursor, TitleKey) or FIRST
    reader = database.reader(school_id=caller.school)
    today = await caches.today(answers.cache, reader, school_id=caller.school)
    teacher_id = caller.person if caller.role == Role.TEACHER else None

    async def read() -> Page[SchoolClass]:
        found = await queries.classes(
            reader,
            school_id=caller.school,
            day=today,
            teacher_id=teacher_id,
            after=(after.title, after.id),
            limit=limit + 1,
        )
        return page(found, limit=limit, path="/api/v1/classes", key=lambda each: TitleKey(each.title, each.id))

    return await answers.of(caller.school, (today, teacher_id, after, limit), read)


@get(
    "/classes/{class_id:uuid}",
    operation_id="show_class",
    summary="One class.",
    opt={"permission": "class.read", "problems": (NotFound,), "cached": caches.CLASSES},
)
async def show_class(
    class_id: FromPath[UUID],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
) -> Response[SchoolClass]:
    reader = database.reader(school_id=caller.school)
    today = await caches.today(answers.cache, reader, school_id=caller.school)
    await access.require_class(reader, caller, class_id, today=today)

    async def read() -> SchoolClass:
        found = await queries.classes(reader, school_id=caller.school, day=today, class_id=class_id)
        if not found:
            raise NotFound
        return found[0]

    return await answers.of(caller.school, class_id, read)


@post(
    "/classes",
    operation_id="add_class",
    summary="Add a class; its lessons are planned at once.",
    opt={"permission": "class.manage", "problems": (NotFound,)},
)
async def add_class(
    data: JSONBody[NewClass], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> SchoolClass:
    return await actions.add_class(database, caller.school, data, now=clock.now())


@patch(
    "/classes/{class_id:uuid}",
    operation_id="change_class",
    summary="Say which grades a class is for; its lessons follow the days of those at once.",
    opt={"permission": "class.manage", "problems": (NotFound, PreconditionFailed)},
)
async def change_class(
    class_id: FromPath[UUID],
    data: JSONBody[ClassChange],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> SchoolClass:
    return await actions.change_class(database, caller.school, class_id, data, now=clock.now())


router = Router(
    "/api/v1",
    route_handlers=[list_courses, list_classes, show_class, add_class, change_class],
)
