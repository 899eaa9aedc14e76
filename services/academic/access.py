"""Who may do what in this service: the role's permission here, the relationship in the guards below.

A guard that refuses raises NotFound: a record that is not one's own looks like one that does not exist.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from services.academic.people import queries as people
from shared.database import Reader
from shared.identity import Caller, Role
from shared.problems import BadRequest, FieldError, NotFound

STAFF: Final = frozenset(
    {
        "class.read",
        "student.read",
        "teacher.read",
        "guardian.read",
        "lesson.read",
        "register.take",
        "attendance.read",
        "attendance_code.read",
        "missing_register.read",
    }
)

PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    Role.PLATFORM_ADMIN: frozenset({"import.run"}),
    Role.SCHOOL_ADMIN: STAFF
    | {"people.manage", "guardian.manage", "class.manage", "timetable.manage", "attendance_code.manage"}
    | {"absence.report", "absence.decide"},
    Role.TEACHER: STAFF,
    Role.GUARDIAN: frozenset({"student.read", "lesson.read", "attendance.read", "absence.report", "absence.withdraw"}),
    Role.STUDENT: frozenset({"student.read", "lesson.read", "attendance.read"}),
}


DECIDING: Final = frozenset({"guardian_link", "enrolment"})
"""The tables by which it is decided here who sees whom."""


async def may_see_student(reader: Reader, caller: Caller, student_id: UUID, *, today: date) -> bool:
    """The office sees every student, a teacher those they teach today, a guardian their children, a student one."""
    match caller.role:
        case Role.SCHOOL_ADMIN:
            return await people.student_exists(reader, school_id=caller.school, student_id=student_id)
        case Role.TEACHER:
            return await people.teaches_student(
                reader, school_id=caller.school, teacher_id=caller.person, student_id=student_id, day=today
            )
        case Role.GUARDIAN:
            return await people.is_guardian_of(
                reader, school_id=caller.school, guardian_id=caller.person, student_id=student_id, day=today
            )
        case Role.STUDENT:
            return caller.person == student_id
        case _:
            return False


async def require_student(reader: Reader, caller: Caller, student_id: UUID, *, today: date) -> None:
    """Raises NotFound unless the caller may see the student today."""
    if not await may_see_student(reader, caller, student_id, today=today):
        raise NotFound


async def require_class(reader: Reader, caller: Caller, class_id: UUID, *, today: date) -> None:
    """Raises NotFound unless the class is one the caller teaches today; the office may see them all."""
    if caller.role == Role.SCHOOL_ADMIN:
        return
    if caller.role != Role.TEACHER or not await people.teaches_class(
        reader, school_id=caller.school, teacher_id=caller.person, class_id=class_id, day=today
    ):
        raise NotFound


def own_lessons_only(caller: Caller) -> UUID | None:
    """The teacher to whose lessons a list is narrowed; None for the office."""
    return None if caller.role == Role.SCHOOL_ADMIN else caller.person


class LessonScope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose lessons; what is None does not narrow."""

    teacher_id: UUID | None = None
    student_id: UUID | None = None


async def lesson_scope(reader: Reader, caller: Caller, *, student_id: UUID | None, today: date) -> LessonScope:
    """The lessons that the caller may list. Raises NotFound for a student who is not theirs to see.

    Raises BadRequest when a guardian names no child.
    """
    if student_id is not None:
        await require_student(reader, caller, student_id, today=today)
        return LessonScope(student_id=student_id)
    match caller.role:
        case Role.SCHOOL_ADMIN:
            return LessonScope()
        case Role.TEACHER:
            return LessonScope(teacher_id=caller.person)
        case Role.STUDENT:
            return LessonScope(student_id=caller.person)
        case _:
            raise BadRequest("Whose lessons?", errors=[FieldError("query/student_id", "Name one of your children.")])
