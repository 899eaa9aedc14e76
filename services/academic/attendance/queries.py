"""SQL over codes, registers, marks and the days derived from them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.academic.attendance.rules import NewMark
from services.academic.attendance.schemas import (
    AttendanceCode,
    AttendanceCodeChange,
    AttendanceDay,
    AttendanceDayRow,
    CountedLesson,
    MarkOfStudent,
    RecordedMark,
)
from services.academic.calendar.queries import DAY_OF_LESSON
from shared.database import Reader, Tx


class RegisterState(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    saved_at: datetime | None


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """How a register was saved: by whom, when, and why marks changed."""

    version: int
    is_complete: bool
    """Whether everybody on the roll has a mark now."""
    user_id: UUID
    reason: str | None
    now: datetime


class RollRow(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
    family_name: str


class MarkCounts(msgspec.Struct, frozen=True, kw_only=True):
    present: int
    absent: int
    late: int
    excused: int
    marked_student_ids: list[UUID]


class EarlierMark(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    code: str


class StudentOff(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID


class MarkedLessonOfStudent(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    lesson_id: UUID
    class_title: str
    period: str
    starts_at: datetime
    ends_at: datetime
    code: str | None
    kind: str | None
    is_alerting: bool | None
    minutes_late: int | None
    recorded_by: UUID | None
    is_prefilled: bool | None
    is_explained: bool


CODES = """
SELECT code, title, kind, is_alerting, statutory_code, is_active, suggested_for
FROM attendance_code
WHERE school_id = %(school_id)s
ORDER BY code
LIMIT 500
"""


async def codes(reader: Reader, *, school_id: UUID) -> list[AttendanceCode]:
    return await reader.all(AttendanceCode, CODES, school_id=school_id)


ADD_CODE = """
INSERT INTO attendance_code (school_id, code, title, kind, is_alerting, statutory_code, is_active, suggested_for)
VALUES (
    %(school_id)s, %(code)s, %(title)s, %(kind)s, %(is_alerting)s, %(statutory_code)s, %(is_active)s, %(suggested_for)s
)
ON CONFLICT (school_id, code) DO NOTHING
"""


async def add_codes(tx: Tx, *, school_id: UUID, codes: Sequence[AttendanceCode]) -> None:
    """Add those that the school does not have; what it made of its codes stays."""
    await tx.execute_many(ADD_CODE, [{"school_id": school_id, **msgspec.structs.asdict(code)} for code in codes])


SAVE_CODE = """
INSERT INTO attendance_code (school_id, code, title, kind, is_alerting, statutory_code, is_active, suggested_for)
VALUES (
    %(school_id)s, %(code)s, %(title)s, %(kind)s, %(is_alerting)s, %(statutory_code)s, %(is_active)s, %(suggested_for)s
)
ON CONFLICT (school_id, code) DO UPDATE
SET title = excluded.title, kind = excluded.kind, is_alerting = excluded.is_alerting,
    statutory_code = excluded.statutory_code, is_active = excluded.is_active, suggested_for = excluded.suggested_for
"""


async def save_code(tx: Tx, *, school_id: UUID, code: str, change: AttendanceCodeChange) -> None:
    await tx.execute(SAVE_CODE, school_id=school_id, code=code, **msgspec.structs.asdict(change))


# Whoever saves first makes the row; the second waits here for the first, and then finds another version.
LOCK_REGISTER = """
INSERT INTO register AS existing (school_id, lesson_id, version, saved_at, saved_by)
VALUES (%(school_id)s, %(lesson_id)s, 0, %(now)s, %(user_id)s)
ON CONFLICT (school_id, lesson_id) DO UPDATE
SET version = existing.version
RETURNING version
"""


async def lock_register(tx: Tx, *, school_id: UUID, lesson_id: UUID, user_id: UUID, now: datetime) -> int:
    """The version of the register, locked until the end of the transaction; 0 when nobody has saved it."""
    version = await tx.value(int, LOCK_REGISTER, school_id=school_id, lesson_id=lesson_id, user_id=user_id, now=now)
    assert version is not None
    return version


SAVE_REGISTER = """
UPDATE register
SET version = %(version)s, is_complete = %(is_complete)s, saved_at = %(now)s, saved_by = %(user_id)s
WHERE school_id = %(school_id)s
AND lesson_id = %(lesson_id)s
"""


async def save_register(tx: Tx, *, school_id: UUID, lesson_id: UUID, saved: Saved) -> None:
    await tx.execute(SAVE_REGISTER, school_id=school_id, lesson_id=lesson_id, **msgspec.structs.asdict(saved))


REGISTER = """
SELECT coalesce(max(register_version), 0) AS version, max(recorded_at) AS saved_at
FROM attendance_mark
WHERE school_id = %(school_id)s
AND lesson_id = %(lesson_id)s
AND (%(as_of)s::timestamptz IS NULL OR recorded_at <= %(as_of)s)
"""

REGISTER_NOW = """
SELECT version, saved_at
FROM register
WHERE school_id = %(school_id)s
AND lesson_id = %(lesson_id)s
"""


async def register(reader: Reader, *, school_id: UUID, lesson_id: UUID, as_of: datetime | None) -> RegisterState:
    """The state of a register, now or as it was known at `as_of`."""
    if as_of is None:
        found = await reader.one(RegisterState, REGISTER_NOW, school_id=school_id, lesson_id=lesson_id)
    else:
        found = await reader.one(RegisterState, REGISTER, school_id=school_id, lesson_id=lesson_id, as_of=as_of)
    return found or RegisterState(version=0, saved_at=None)


# The roll of a lesson is the class as it was on that day, and whoever was marked before leaving it.
ROLL = """
SELECT student.id AS student_id, student.given_name, student.family_name
FROM student
WHERE student.school_id = %(school_id)s
AND student.id IN (
    SELECT enrolment.student_id
    FROM enrolment
    WHERE enrolment.school_id = %(school_id)s
    AND enrolment.class_id = %(class_id)s
    AND enrolment.role = 'student'
    AND enrolment.starts_on <= %(day)s
    AND (enrolment.ends_on IS NULL OR enrolment.ends_on >= %(day)s)
    UNION
    SELECT unnest(%(marked_ids)s::uuid[])
)
ORDER BY student.family_name, student.given_name, student.id
LIMIT 1000
"""


async def roll(
    reader: Reader, *, school_id: UUID, class_id: UUID, day: date, marked_ids: Sequence[UUID]
) -> list[RollRow]:
    return await reader.all(RollRow, ROLL, school_id=school_id, class_id=class_id, day=day, marked_ids=list(marked_ids))


# The latest mark of each student: the primary key ends with the version.
CURRENT_MARKS = """
SELECT DISTINCT ON (student_id) student_id, code, kind, is_alerting, minutes_late, is_prefilled
FROM attendance_mark
WHERE school_id = %(school_id)s
AND lesson_id = %(lesson_id)s
AND (%(as_of)s::timestamptz IS NULL OR recorded_at <= %(as_of)s)
ORDER BY student_id, register_version DESC
LIMIT 1000
"""


async def current_marks(
    reader: Reader, *, school_id: UUID, lesson_id: UUID, as_of: datetime | None = None
) -> list[MarkOfStudent]:
    return await reader.all(MarkOfStudent, CURRENT_MARKS, school_id=school_id, lesson_id=lesson_id, as_of=as_of)


MARK_COUNTS = """
SELECT count(*) FILTER (WHERE current.kind = 'present') AS present,
       count(*) FILTER (WHERE current.kind = 'absent') AS absent,
       count(*) FILTER (WHERE current.kind = 'late') AS late,
       count(*) FILTER (WHERE current.kind = 'excused') AS excused,
       coalesce(array_agg(current.student_id ORDER BY current.student_id), '{}') AS marked_student_ids
FROM (
    SELECT DISTINCT ON (student_id) student_id, kind
    FROM attendance_mark
    WHERE school_id = %(school_id)s
    AND lesson_id = %(lesson_id)s
    ORDER BY student_id, register_version DESC
) AS current
"""


async def mark_counts(reader: Reader, *, school_id: UUID, lesson_id: UUID) -> MarkCounts:
    """How many students have which kind of mark now, and who has one."""
    found = await reader.one(MarkCounts, MARK_COUNTS, school_id=school_id, lesson_id=lesson_id)
    assert found is not None
    return found


EARLIER_MARKS = """
SELECT DISTINCT ON (attendance_mark.student_id) attendance_mark.student_id, attendance_mark.code
FROM attendance_mark
JOIN lesson ON lesson.school_id = attendance_mark.school_id AND lesson.id = attendance_mark.lesson_id
WHERE attendance_mark.school_id = %(school_id)s
AND attendance_mark.student_id = ANY(%(student_ids)s)
AND attendance_mark.day = %(day)s
AND lesson.starts_at < %(starts_at)s
ORDER BY attendance_mark.student_id, lesson.starts_at DESC, attendance_mark.register_version DESC
LIMIT 1000
"""


async def earlier_marks(
    reader: Reader, *, school_id: UUID, student_ids: Sequence[UUID], day: date, starts_at: datetime
) -> list[EarlierMark]:
    """Each student's code in the latest marked lesson of the day that began before `starts_at`."""
    return await reader.all(
        EarlierMark,
        EARLIER_MARKS,
        school_id=school_id,
        student_ids=list(student_ids),
        day=day,
        starts_at=starts_at,
    )


ADD_MARKS = """
INSERT INTO attendance_mark (
    school_id, lesson_id, student_id, register_version, day, code, kind, is_alerting, minutes_late, recorded_at,
    recorded_by, reason, is_prefilled
)
SELECT %(school_id)s, %(lesson_id)s, student_id, %(version)s, %(day)s, code, kind, is_alerting, minutes_late,
       %(now)s, %(user_id)s, CASE WHEN is_correction THEN %(reason)s END, is_prefilled
FROM unnest(
    %(student_ids)s::uuid[], %(codes)s::text[], %(kinds)s::text[], %(alerting)s::boolean[],
    %(minutes_late)s::smallint[], %(corrections)s::boolean[], %(prefilled)s::boolean[]
) AS new_mark (student_id, code, kind, is_alerting, minutes_late, is_correction, is_prefilled)
"""


async def add_marks(
    tx: Tx, *, school_id: UUID, lesson_id: UUID, day: date, marks: Sequence[NewMark], saved: Saved
) -> None:
    await tx.execute(
        ADD_MARKS,
        school_id=school_id,
        lesson_id=lesson_id,
        day=day,
        version=saved.version,
        user_id=saved.user_id,
        reason=saved.reason,
        now=saved.now,
        student_ids=[new.student_id for new in marks],
        codes=[new.mark.code for new in marks],
        kinds=[new.mark.kind for new in marks],
        alerting=[new.mark.is_alerting for new in marks],
        minutes_late=[new.mark.minutes_late for new in marks],
        corrections=[new.is_correction for new in marks],
        prefilled=[new.mark.is_prefilled for new in marks],
    )


HISTORY = """
SELECT student_id, code, kind, minutes_late, register_version, recorded_at, recorded_by, reason, is_prefilled
FROM attendance_mark
WHERE school_id = %(school_id)s
AND lesson_id = %(lesson_id)s
ORDER BY register_version, student_id
LIMIT 5000
"""


async def history(reader: Reader, *, school_id: UUID, lesson_id: UUID) -> list[RecordedMark]:
    return await reader.all(RecordedMark, HISTORY, school_id=school_id, lesson_id=lesson_id)


LOCK_DAYS = """
INSERT INTO attendance_day AS existing (school_id, student_id, day)
SELECT %(school_id)s, student_id, %(day)s
FROM unnest(%(student_ids)s::uuid[]) AS marked (student_id)
ORDER BY student_id
ON CONFLICT (school_id, student_id, day) DO UPDATE
SET version = existing.version
"""


async def lock_days(tx: Tx, *, school_id: UUID, student_ids: Sequence[UUID], day: date) -> None:
    """Make one register at a time derive these days: two lessons of one student may be saved at once."""
    await tx.execute(LOCK_DAYS, school_id=school_id, student_ids=list(student_ids), day=day)


LOCK_DAYS_OF_STUDENT = """
INSERT INTO attendance_day AS existing (school_id, student_id, day)
SELECT %(school_id)s, %(student_id)s, %(first)s::date + number
FROM generate_series(0, %(last)s::date - %(first)s::date) AS number
ORDER BY number
ON CONFLICT (school_id, student_id, day) DO UPDATE
SET version = existing.version
"""


async def lock_days_of_student(tx: Tx, *, school_id: UUID, student_id: UUID, first: date, last: date) -> None:
    """The same for one student's days. Registers lock students in order, this locks days in order: no two wait for
    each other.
    """
    await tx.execute(LOCK_DAYS_OF_STUDENT, school_id=school_id, student_id=student_id, first=first, last=last)


LOCK_DAYS_OF_GRADES = """
INSERT INTO attendance_day AS existing (school_id, student_id, day)
SELECT %(school_id)s, id, %(day)s
FROM student
WHERE school_id = %(school_id)s
AND grade = ANY(%(grades)s::text[])
ORDER BY id
ON CONFLICT (school_id, student_id, day) DO UPDATE
SET version = existing.version
"""


async def lock_days_of_grades(tx: Tx, *, school_id: UUID, grades: Sequence[str], day: date) -> None:
    """The same for all students of these grades, so that also a register waits which has none of their marks yet."""
    await tx.execute(LOCK_DAYS_OF_GRADES, school_id=school_id, grades=list(grades), day=day)


class MarkedBy(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    recorded_by: UUID


# Uses attendance_mark_student_day, for each student of the grades.
MARKED_OF_GRADES = """
SELECT DISTINCT ON (student.id) student.id AS student_id, attendance_mark.recorded_by
FROM student
JOIN attendance_mark ON attendance_mark.school_id = student.school_id AND attendance_mark.student_id = student.id
WHERE student.school_id = %(school_id)s
AND student.grade = ANY(%(grades)s::text[])
AND attendance_mark.day = %(day)s
ORDER BY student.id, attendance_mark.recorded_at DESC
LIMIT 10000
"""


async def marked_of_grades(reader: Reader, *, school_id: UUID, grades: Sequence[str], day: date) -> list[MarkedBy]:
    """The students of these grades with any mark that day, and who made the latest of each."""
    return await reader.all(MarkedBy, MARKED_OF_GRADES, school_id=school_id, grades=list(grades), day=day)


class MarkedDay(msgspec.Struct, frozen=True, kw_only=True):
    day: date


# Uses attendance_mark_student_day.
MARKED_DAYS = """
SELECT DISTINCT day
FROM attendance_mark
WHERE school_id = %(school_id)s
AND student_id = %(student_id)s
AND day BETWEEN %(first)s AND %(last)s
ORDER BY day
LIMIT 400
"""


async def marked_days(reader: Reader, *, school_id: UUID, student_id: UUID, first: date, last: date) -> list[date]:
    """The days of a student with any mark."""
    rows = await reader.all(MarkedDay, MARKED_DAYS, school_id=school_id, student_id=student_id, first=first, last=last)
    return [row.day for row in rows]


# Whom a class misses while their own grade is off needs no other explanation, but in a lesson that was added for a
# class that is off: there they are wanted. Needs DAY_OF_LESSON, and the student as `had`.
GRADE_IS_OFF: LiteralString = """
(lesson.origin <> 'manual' OR special_day.kind IS DISTINCT FROM 'holiday') AND EXISTS (
    SELECT 1
    FROM student
    JOIN grade_day ON grade_day.school_id = student.school_id AND grade_day.grade = student.grade
    WHERE student.school_id = lesson.school_id
    AND student.id = had.student_id
    AND grade_day.day = lesson.day
    AND grade_day.kind = 'holiday'
)
"""

STUDENTS_OFF: LiteralString = (
    """
SELECT had.student_id
FROM unnest(%(student_ids)s::uuid[]) AS had (student_id)
JOIN lesson ON lesson.school_id = %(school_id)s AND lesson.id = %(lesson_id)s
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
"""
    + DAY_OF_LESSON
    + "WHERE "
    + GRADE_IS_OFF
    + """
ORDER BY had.student_id
LIMIT 2000
"""
)


async def students_off(reader: Reader, *, school_id: UUID, student_ids: Sequence[UUID], lesson_id: UUID) -> set[UUID]:
    """Those of these students whose own grade has the day of the lesson off."""
    rows = await reader.all(
        StudentOff, STUDENTS_OFF, school_id=school_id, student_ids=list(student_ids), lesson_id=lesson_id
    )
    return {row.student_id for row in rows}


# Every lesson that a student had on the day, with the latest mark.
# Uses enrolment_student, attendance_mark_student_day, and the key of attendance_mark.
MARKED_LESSONS = (
    """
SELECT had.student_id, lesson.id AS lesson_id, school_class.title AS class_title, lesson.period,
       lesson.starts_at, lesson.ends_at, mark.code, mark.kind, mark.is_alerting, mark.minutes_late, mark.recorded_by,
       mark.is_prefilled,
"""
    + GRADE_IS_OFF
    + """ AS is_explained
FROM (
    SELECT enrolment.student_id, lesson.id AS lesson_id
    FROM enrolment
    JOIN lesson ON lesson.school_id = enrolment.school_id AND lesson.class_id = enrolment.class_id
    WHERE enrolment.school_id = %(school_id)s
    AND enrolment.student_id = ANY(%(student_ids)s)
    AND enrolment.starts_on <= %(day)s
    AND (enrolment.ends_on IS NULL OR enrolment.ends_on >= %(day)s)
    AND lesson.day = %(day)s
    UNION
    SELECT attendance_mark.student_id, attendance_mark.lesson_id
    FROM attendance_mark
    WHERE attendance_mark.school_id = %(school_id)s
    AND attendance_mark.student_id = ANY(%(student_ids)s)
    AND attendance_mark.day = %(day)s
) AS had
JOIN lesson ON lesson.school_id = %(school_id)s AND lesson.id = had.lesson_id AND NOT lesson.is_cancelled
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
"""
    + DAY_OF_LESSON
    + """
LEFT JOIN LATERAL (
    SELECT attendance_mark.code, attendance_mark.kind, attendance_mark.is_alerting, attendance_mark.minutes_late,
           attendance_mark.recorded_by, attendance_mark.is_prefilled
    FROM attendance_mark
    WHERE attendance_mark.school_id = lesson.school_id
    AND attendance_mark.lesson_id = lesson.id
    AND attendance_mark.student_id = had.student_id
    ORDER BY attendance_mark.register_version DESC
    LIMIT 1
) AS mark ON true
ORDER BY had.student_id, lesson.starts_at, lesson.id
LIMIT 20000
"""
)


async def marked_lessons(
    reader: Reader, *, school_id: UUID, student_ids: Sequence[UUID], day: date
) -> dict[UUID, list[CountedLesson]]:
    """The lessons of each student's day, in order of time."""
    rows = await reader.all(
        MarkedLessonOfStudent, MARKED_LESSONS, school_id=school_id, student_ids=list(student_ids), day=day
    )
    found: dict[UUID, list[CountedLesson]] = {student_id: [] for student_id in student_ids}
    for row in rows:
        fields = msgspec.structs.asdict(row)
        found[fields.pop("student_id")].append(CountedLesson(**fields))
    return found


SAVE_DAYS = """
UPDATE attendance_day
SET status = derived.status, is_unexplained_absence = derived.is_unexplained_absence,
    missed_lessons = derived.missed_lessons::jsonb, version = attendance_day.version + 1
FROM unnest(
    %(student_ids)s::uuid[], %(statuses)s::text[], %(unexplained)s::boolean[], %(missed)s::text[]
) AS derived (student_id, status, is_unexplained_absence, missed_lessons)
WHERE attendance_day.school_id = %(school_id)s
AND attendance_day.student_id = derived.student_id
AND attendance_day.day = %(day)s
AND (attendance_day.status, attendance_day.is_unexplained_absence, attendance_day.missed_lessons)
    IS DISTINCT FROM (
        derived.status, derived.is_unexplained_absence, derived.missed_lessons::jsonb
    )
RETURNING attendance_day.student_id, attendance_day.version
"""


class ChangedDay(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    version: int


async def save_days(
    tx: Tx, *, school_id: UUID, day: date, days: Sequence[tuple[UUID, AttendanceDay]]
) -> list[ChangedDay]:
    """Store the derived days; those that differ from before, with their new version."""
    return await tx.all(
        ChangedDay,
        SAVE_DAYS,
        school_id=school_id,
        day=day,
        student_ids=[student_id for student_id, _ in days],
        statuses=[derived.status for _, derived in days],
        unexplained=[derived.is_unexplained_absence for _, derived in days],
        missed=[msgspec.json.encode(derived.missed_lessons).decode() for _, derived in days],
    )


DAYS_OF_STUDENT = """
SELECT day, status, is_unexplained_absence
FROM attendance_day
WHERE school_id = %(school_id)s
AND student_id = %(student_id)s
AND day BETWEEN %(starts_on)s AND %(ends_on)s
AND status <> 'unmarked'
ORDER BY day DESC
LIMIT 400
"""


async def days_of_student(
    reader: Reader, *, school_id: UUID, student_id: UUID, starts_on: date, ends_on: date
) -> list[AttendanceDayRow]:
    return await reader.all(
        AttendanceDayRow,
        DAYS_OF_STUDENT,
        school_id=school_id,
        student_id=student_id,
        starts_on=starts_on,
        ends_on=ends_on,
    )
