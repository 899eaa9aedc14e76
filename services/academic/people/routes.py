"""Students and teachers over HTTP."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from services.academic import access, caches
from services.academic.people import actions, queries, rules
from services.academic.people.queries import StudentFilter
from services.academic.people.schemas import GradeCount, NewStudent, NewTeacher, Student, StudentChange, Teacher
from shared import clock
from shared.cache import Cache
from shared.database import Database
from shared.identity import Caller, Role
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound, PreconditionFailed

NameFilter = Annotated[str | None, QueryParameter(max_length=100, description="The beginning of a name.")]
GradeFilter = Annotated[str | None, QueryParameter(max_length=20)]


class NameKey(msgspec.Struct, frozen=True):
    family_name: str
    given_name: str
    id: UUID


FIRST = NameKey("", "", UUID(int=0))


@get(
    "/students",
    operation_id="list_students",
    summary="The students that the caller may see: all, those taught, one's children, oneself.",
    opt={"permission": "student.read"},
)
async def list_students(
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
    name: NameFilter = None,
    grade: GradeFilter = None,
    class_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Student]:
    reader = database.reader(school_id=caller.school)
    only = StudentFilter(
        day=await caches.today(cache, reader, school_id=caller.school),
        teacher_id=caller.person if caller.role == Role.TEACHER else None,
        guardian_id=caller.person if caller.role == Role.GUARDIAN else None,
        student_id=caller.person if caller.role == Role.STUDENT else None,
        class_id=class_id,
        name=name,
        grade=grade,
    )
    after = decode_cursor(cursor, NameKey) or FIRST
    found = await queries.students(
        reader,
        school_id=caller.school,
        only=only,
        after=(after.family_name, after.given_name, after.id),
        limit=limit + 1,
    )
    return page(
        [rules.visible(student, caller.role) for student in found],
        limit=limit,
        path="/api/v1/students",
        filters={"name": name, "grade": grade, "class_id": class_id},
        key=lambda student: NameKey(student.family_name, student.given_name, student.id),
    )


@get(
    "/students/{student_id:uuid}",
    operation_id="show_student",
    summary="One student.",
    opt={"permission": "student.read", "problems": (NotFound,)},
)
async def show_student(
    student_id: FromPath[UUID],
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
) -> Student:
    reader = database.reader(school_id=caller.school)
    today = await caches.today(cache, reader, school_id=caller.school)
    await access.require_student(reader, caller, student_id, today=today)
    student = await queries.student(reader, school_id=caller.school, student_id=student_id)
    if student is None:
        raise NotFound
    return rules.visible(student, caller.role)


@post("/students", operation_id="add_student", summary="Add a student.", opt={"permission": "people.manage"})
async def add_student(
    data: JSONBody[NewStudent], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Student:
    return await actions.add_student(database, caller.school, data)


@patch(
    "/students/{student_id:uuid}",
    operation_id="change_student",
    summary="Change a student.",
    opt={"permission": "people.manage", "problems": (NotFound, PreconditionFailed)},
)
async def change_student(
    student_id: FromPath[UUID],
    data: JSONBody[StudentChange],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> Student:
    return await actions.change_student(database, caller.school, student_id, data, now=clock.now())


@get(
    "/grades",
    operation_id="list_grades",
    summary="The grades that active students are of, as the roster names them: what calendar and audiences go by.",
    opt={"permission": "class.read"},
)
async def list_grades(database: NamedDependency[Database], caller: NamedDependency[Caller]) -> list[GradeCount]:
    found = await queries.grades(database.reader(school_id=caller.school), school_id=caller.school)
    return rules.in_order(found)


@get("/teachers", operation_id="list_teachers", summary="The school's teachers.", opt={"permission": "teacher.read"})
async def list_teachers(
    database: NamedDependency[Database], caller: NamedDependency[Caller], limit: Limit = 50, cursor: Cursor = None
) -> Page[Teacher]:
    after = decode_cursor(cursor, NameKey) or FIRST
    found = await queries.teachers(
        database.reader(school_id=caller.school),
        school_id=caller.school,
        after=(after.family_name, after.given_name, after.id),
        limit=limit + 1,
    )
    return page(
        found,
        limit=limit,
        path="/api/v1/teachers",
        key=lambda teacher: NameKey(teacher.family_name, teacher.given_name, teacher.id),
    )


@post("/teachers", operation_id="add_teacher", summary="Add a teacher.", opt={"permission": "people.manage"})
async def add_teacher(
    data: JSONBody[NewTeacher], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Teacher:
    return await actions.add_teacher(database, caller.school, data)


router = Router(
    "/api/v1",
    route_handlers=[list_students, show_student, add_student, change_student, list_grades, list_teachers, add_teacher],
)
