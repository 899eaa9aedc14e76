"""Adding and changing people; each change tells the others, in its own transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET

from services.academic.calendar import queries as calendar
from services.academic.enrolments.actions import leave_classes
from services.academic.people import queries
from services.academic.people.schemas import (
    ImportedPerson,
    NewStudent,
    NewTeacher,
    SavedPerson,
    Student,
    StudentChange,
    Teacher,
)
from shared import clock
from shared.contracts.academic import StudentChanged, TeacherChanged
from shared.database import Database, Tx
from shared.ids import new_id
from shared.outbox import Event, publish_all
from shared.problems import NotFound, PreconditionFailed


async def add_student(database: Database, school_id: UUID, new: NewStudent) -> Student:
    student = Student(id=new_id(), sourced_id=None, is_active=True, version=1, **msgspec.structs.asdict(new))
    async with database.transaction(school_id=school_id) as tx:
        await queries.add_student(tx, school_id=school_id, student=student)
        await tell_of_students(tx, school_id, [student])
    return student


async def change_student(
    database: Database, school_id: UUID, student_id: UUID, change: StudentChange, *, now: datetime
) -> Student:
    """Who is not active any more leaves their classes, and is enrolled anew on coming back.

    Raises NotFound, PreconditionFailed when somebody else changed the student since.
    """
    wanted = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    async with database.transaction(school_id=school_id) as tx:
        before = await queries.student(tx, school_id=school_id, student_id=student_id)
        if before is None:
            raise NotFound
        changed = msgspec.structs.replace(before, **wanted)
        if not await queries.save_student(tx, school_id=school_id, student=changed):
            raise PreconditionFailed(f"The student is at version {before.version}.")
        after = msgspec.structs.replace(changed, version=change.version + 1)
        await tell_of_students(tx, school_id, [after])
        if not after.is_active:
            today = clock.school_day(now, await calendar.time_zone_of(tx, school_id=school_id))
            await leave_classes(tx, school_id, [student_id], day=today, now=now)
    return after


async def add_teacher(database: Database, school_id: UUID, new: NewTeacher) -> Teacher:
    teacher = Teacher(id=new_id(), sourced_id=None, is_active=True, version=1, **msgspec.structs.asdict(new))
    async with database.transaction(school_id=school_id) as tx:
        await queries.add_teacher(tx, school_id=school_id, teacher=teacher)
        await tell_of_teachers(tx, school_id, [teacher])
    return teacher


async def import_students(
    tx: Tx, school_id: UUID, people: Sequence[ImportedPerson], *, left: Sequence[str]
) -> list[UUID]:
    """Make the students of a school those of another system; `left` are the sourced ids of who is gone. Their ids: they
    are still to leave their classes.
    """
    saved = await queries.import_students(tx, school_id=school_id, people=people)
    gone = await queries.students_leave(tx, school_id=school_id, sourced_ids=left)
    await tell_of_students(tx, school_id, [*saved, *gone])
    return [each.id for each in gone]


async def import_teachers(
    tx: Tx, school_id: UUID, people: Sequence[ImportedPerson], *, left: Sequence[str]
) -> list[UUID]:
    """As `import_students`."""
    saved = await queries.import_teachers(tx, school_id=school_id, people=people)
    gone = await queries.teachers_leave(tx, school_id=school_id, sourced_ids=left)
    await tell_of_teachers(tx, school_id, [*saved, *gone])
    return [each.id for each in gone]


async def tell_of_students(tx: Tx, school_id: UUID, students: Sequence[Student | SavedPerson]) -> None:
    events = [
        Event(
            data=StudentChanged(
                student_id=student.id,
                given_name=student.given_name,
                family_name=student.family_name,
                email=student.email,
                grade=student.grade,
                is_active=student.is_active,
            ),
            subject=str(student.id),
            version=student.version,
        )
        for student in students
    ]
    await publish_all(tx, events, school_id=school_id)


async def tell_of_teachers(tx: Tx, school_id: UUID, teachers: Sequence[Teacher | SavedPerson]) -> None:
    events = [
        Event(
            data=TeacherChanged(
                teacher_id=teacher.id,
                given_name=teacher.given_name,
                family_name=teacher.family_name,
                email=teacher.email,
                is_active=teacher.is_active,
            ),
            subject=str(teacher.id),
            version=teacher.version,
        )
        for teacher in teachers
    ]
    await publish_all(tx, events, school_id=school_id)
