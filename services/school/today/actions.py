"""Putting a day together, for one role at a time."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.school.caches import SCHOOL_DAY
from services.school.rotations import queries as rotations
from services.school.schools import queries as schools
from services.school.today import queries, rules
from services.school.today.queries import LessonRow, ReportRow, StudentRow
from services.school.today.schemas import (
    Facts,
    OfficeFacts,
    SchoolDay,
    StudentDay,
    StudentLesson,
    StudentReport,
    Unreached,
)
from shared import clock
from shared.cache import Cache
from shared.database import Reader
from shared.identity import Caller, Role
from shared.problems import NotFound

MESSAGED: Final = frozenset({Role.SCHOOL_ADMIN, Role.TEACHER})


async def school_day(cache: Cache, reader: Reader, school_id: UUID, *, now: datetime) -> SchoolDay:
    """The day that it is at the school. Raises NotFound for a school that is not here."""

    async def read() -> SchoolDay:
        school = await schools.school(reader, school_id=school_id)
        if school is None:
            raise NotFound
        day = clock.school_day(now, school.time_zone)
        turn = (await rotations.turns(reader, school_id=school_id)).get(day)
        return SchoolDay(
            day=day,
            time_zone=school.time_zone,
            name=await queries.day_name(reader, school_id=school_id, day=day),
            turn=turn.name if turn else None,
            grade_days=await queries.grade_day_names(reader, school_id=school_id, day=day),
        )

    asked = ("school_day", rules.quarter_of(now))
    return await cache.value(SCHOOL_DAY, of=school_id, key=asked, type_=SchoolDay, read=read)


async def facts_of(cache: Cache, reader: Reader, caller: Caller, *, now: datetime) -> Facts:
    """The school's day as the caller may see it. Raises NotFound for a token of a school that is not here."""
    today = await school_day(cache, reader, caller.school, now=now)
    facts = Facts(**msgspec.structs.asdict(today))
    day, is_holiday = today.day, rules.is_holiday(today.name)
    match caller.role:
        case Role.SCHOOL_ADMIN:
            office = await office_facts(reader, caller.school, day, is_holiday=is_holiday)
            return msgspec.structs.replace(facts, office=office)
        case Role.TEACHER:
            taught = await queries.taught(
                reader, school_id=caller.school, day=day, teacher_id=caller.person, is_holiday=is_holiday
            )
            return msgspec.structs.replace(facts, taught=taught)
        case _:
            students = await student_days(reader, caller, day, ZoneInfo(today.time_zone), is_holiday=is_holiday)
            return msgspec.structs.replace(facts, students=students)


async def office_facts(reader: Reader, school_id: UUID, day: date, *, is_holiday: bool) -> OfficeFacts:
    return OfficeFacts(
        people=await queries.people(reader, school_id=school_id),
        attendance=await queries.attendance(reader, school_id=school_id, day=day, is_holiday=is_holiday),
        lessons=await queries.lessons(reader, school_id=school_id, day=day, is_holiday=is_holiday),
        unreached=Unreached(
            guardians=await queries.unreached_guardians(reader, school_id=school_id, day=day),
            students=await queries.unreached_students(reader, school_id=school_id, day=day),
        ),
        pending=await queries.pending(reader, school_id=school_id, day=day),
    )


async def unread_messages(reader: Reader, caller: Caller, *, now: datetime) -> int | None:
    """None for who is told elsewhere: what a guardian may read depends on the child that it came for."""
    if caller.role not in MESSAGED:
        return None
    return await queries.unread_messages(
        reader, school_id=caller.school, recipient_id=caller.recipient_id, role=caller.role, now=now
    )


async def student_days(
    reader: Reader, caller: Caller, day: date, zone: ZoneInfo, *, is_holiday: bool
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
    lessons = await queries.lessons_of_students(
        reader, school_id=caller.school, student_ids=ids, day=day, is_holiday=is_holiday
    )
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
