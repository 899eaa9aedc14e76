"""Putting a day together, for one role at a time."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.school.schools import queries as schools
from services.school.today import queries, rules
from services.school.today.queries import LessonRow, ReportRow, StudentRow, TaughtRow
from services.school.today.schemas import (
    OfficeDay,
    OwnLesson,
    Registers,
    StudentDay,
    StudentLesson,
    StudentReport,
    Today,
    Unreached,
)
from shared import clock
from shared.database import Reader
from shared.identity import Caller, Role
from shared.problems import NotFound


async def today_of(reader: Reader, caller: Caller, *, now: datetime) -> Today:
    """The school's day as the caller may see it. Raises NotFound for a token of a school that is not here."""
    school = await schools.school(reader, school_id=caller.school)
    if school is None:
        raise NotFound
    zone = ZoneInfo(school.time_zone)
    day = clock.school_day(now, school.time_zone)
    name = await queries.day_name(reader, school_id=caller.school, day=day)
    shown = Today(
        day=day,
        time_zone=school.time_zone,
        holiday=name.title if name and name.kind == "holiday" else None,
        special_day=name.title if name and name.kind == "special" else None,
    )
    has_lessons = shown.holiday is None
    match caller.role:
        case Role.SCHOOL_ADMIN:
            office = await office_day(reader, caller.school, day, has_lessons=has_lessons, now=now)
            return msgspec.structs.replace(shown, office=office)
        case Role.TEACHER:
            lessons = await own_lessons(reader, caller, day, zone, now=now) if has_lessons else []
            return msgspec.structs.replace(shown, lessons=lessons)
        case _:
            students = await student_days(reader, caller, day, zone, has_lessons=has_lessons)
            return msgspec.structs.replace(shown, students=students)


async def office_day(reader: Reader, school_id: UUID, day: date, *, has_lessons: bool, now: datetime) -> OfficeDay:
    registers = Registers(lessons=0, saved=0, missing=0, to_come=0, not_needed=0)
    if has_lessons:
        registers = await queries.registers(reader, school_id=school_id, day=day, now=now)
    return OfficeDay(
        people=await queries.people(reader, school_id=school_id),
        attendance=await queries.attendance(reader, school_id=school_id, day=day, has_lessons=has_lessons),
        registers=registers,
        unreached=Unreached(
            guardians=await queries.unreached_guardians(reader, school_id=school_id, day=day),
            students=await queries.unreached_students(reader, school_id=school_id, day=day),
        ),
        pending=await queries.pending(reader, school_id=school_id, day=day),
    )


async def own_lessons(reader: Reader, caller: Caller, day: date, zone: ZoneInfo, *, now: datetime) -> list[OwnLesson]:
    found = await queries.taught(reader, school_id=caller.school, day=day, teacher_id=caller.person)
    return rules.missing_first(_own_lesson(row, zone, now) for row in found)


def _own_lesson(row: TaughtRow, zone: ZoneInfo, now: datetime) -> OwnLesson:
    state = rules.register_state(
        starts_at=row.starts_at, saved_at=row.saved_at, is_cancelled=row.is_cancelled, students=row.students, now=now
    )
    fields = msgspec.structs.asdict(row)
    local = {name: fields.pop(name).astimezone(zone) for name in ("starts_at", "ends_at")}
    saved_at = row.saved_at.astimezone(zone) if row.saved_at else None
    return OwnLesson(**(fields | {"saved_at": saved_at}), **local, register=state)


async def student_days(
    reader: Reader, caller: Caller, day: date, zone: ZoneInfo, *, has_lessons: bool
) -> list[StudentDay]:
    """Of each child that the guardian may see today; of a student, their own."""
    if caller.role == Role.GUARDIAN:
        students = await queries.children(reader, school_id=caller.school, guardian_id=caller.person, day=day)
    else:
        own = await queries.student(reader, school_id=caller.school, student_id=caller.person, day=day)
        students = [own] if own else []
    ids = [each.student_id for each in students]
    if not ids:
        return []
    lessons: list[LessonRow] = []
    if has_lessons:
        lessons = await queries.lessons_of_students(reader, school_id=caller.school, student_ids=ids, day=day)
    reports = await queries.reports_of_students(reader, school_id=caller.school, student_ids=ids, day=day)
    return [_student_day(each, lessons, reports, zone) for each in students]


def _student_day(
    student: StudentRow, lessons: Sequence[LessonRow], reports: Sequence[ReportRow], zone: ZoneInfo
) -> StudentDay:
    return StudentDay(
        **msgspec.structs.asdict(student),
        lessons=[
            StudentLesson(
                lesson_id=each.lesson_id,
                class_title=each.class_title,
                starts_at=each.starts_at.astimezone(zone),
                ends_at=each.ends_at.astimezone(zone),
                is_cancelled=each.is_cancelled,
            )
            for each in lessons
            if each.student_id == student.student_id
        ],
        reports=[
            StudentReport(
                absence_report_id=each.absence_report_id,
                kind=each.kind,
                starts_on=each.starts_on,
                ends_on=each.ends_on,
                state=each.state,
            )
            for each in reports
            if each.student_id == student.student_id
        ],
    )
