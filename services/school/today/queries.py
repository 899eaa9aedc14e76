"""SQL over the day of a school. Counts are counted when they are asked for; nothing is added up beforehand."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, LiteralString
from uuid import UUID

import msgspec

from services.school.today.schemas import (
    Attendance,
    DayName,
    DayStatus,
    GradeDayName,
    LessonsAt,
    LessonTaught,
    OpenReports,
    People,
    UnreachedStudent,
)
from shared.database import Reader

DAY_NAME = """
SELECT kind, title
FROM calendar_day
WHERE school_id = %(school_id)s
AND day = %(day)s
"""


async def day_name(reader: Reader, *, school_id: UUID, day: date) -> DayName | None:
    return await reader.one(DayName, DAY_NAME, school_id=school_id, day=day)


# Uses the keys of both.
GRADE_DAY_NAMES = """
SELECT grade_day_grade.grade, grade_day.kind, grade_day.title
FROM grade_day_grade
JOIN grade_day
    ON grade_day.school_id = grade_day_grade.school_id
    AND grade_day.day = grade_day_grade.day
    AND grade_day.number = grade_day_grade.number
WHERE grade_day_grade.school_id = %(school_id)s
AND grade_day_grade.day = %(day)s
ORDER BY grade_day_grade.grade
LIMIT 2500
"""


async def grade_day_names(reader: Reader, *, school_id: UUID, day: date) -> list[GradeDayName]:
    return await reader.all(GradeDayName, GRADE_DAY_NAMES, school_id=school_id, day=day)


# Uses today_student_active; the others by their keys.
PEOPLE = """
SELECT
    (SELECT count(*) FROM today_student WHERE school_id = %(school_id)s AND is_active) AS students,
    (SELECT count(*) FROM today_teacher WHERE school_id = %(school_id)s AND is_active) AS teachers,
    (SELECT count(*) FROM today_class WHERE school_id = %(school_id)s AND is_active) AS classes
"""


async def people(reader: Reader, *, school_id: UUID) -> People:
    return await reader.one(People, PEOPLE, school_id=school_id) or People(students=0, teachers=0, classes=0)


# Here and below, `is_holiday` says it of lessons of which nobody told whether their class's day is one.
# Uses today_student_active and the keys of today_attendance_day, today_lesson and today_class_member.
ATTENDANCE = """
WITH expected AS (
    SELECT DISTINCT member.person_id AS student_id
    FROM today_lesson AS lesson
    JOIN today_class_member AS member
        ON member.school_id = lesson.school_id AND member.class_id = lesson.class_id AND member.role = 'student'
    WHERE lesson.school_id = %(school_id)s
    AND lesson.day = %(day)s
    AND NOT coalesce(lesson.is_on_holiday, %(is_holiday)s)
    AND NOT lesson.is_cancelled
    AND member.starts_on <= lesson.day
    AND (member.ends_on IS NULL OR member.ends_on >= lesson.day)
)
SELECT count(*) FILTER (WHERE marked.status = 'present') AS present,
       count(*) FILTER (WHERE marked.status = 'absent') AS absent,
       count(*) FILTER (WHERE marked.status = 'late') AS late,
       count(*) FILTER (WHERE marked.status = 'excused') AS excused,
       count(*) FILTER (
           WHERE coalesce(marked.status, 'unmarked') = 'unmarked' AND expected.student_id IS NOT NULL
       ) AS unmarked
FROM today_student AS student
LEFT JOIN today_attendance_day AS marked
    ON marked.school_id = student.school_id AND marked.student_id = student.student_id AND marked.day = %(day)s
LEFT JOIN expected ON expected.student_id = student.student_id
WHERE student.school_id = %(school_id)s
AND student.is_active
"""


async def attendance(reader: Reader, *, school_id: UUID, day: date, is_holiday: bool) -> Attendance:
    found = await reader.one(Attendance, ATTENDANCE, school_id=school_id, day=day, is_holiday=is_holiday)
    return found or Attendance(present=0, absent=0, late=0, excused=0, unmarked=0)


# Nobody knows it of a register that was told without names. Uses the key of today_class_member.
IS_INCOMPLETE: LiteralString = """EXISTS (
    SELECT 1
    FROM today_class_member AS unmarked
    WHERE unmarked.school_id = lesson.school_id
    AND unmarked.class_id = lesson.class_id
    AND unmarked.role = 'student'
    AND NOT unmarked.person_id = ANY(register.marked_student_ids)
    AND unmarked.starts_on <= lesson.day
    AND (unmarked.ends_on IS NULL OR unmarked.ends_on >= lesson.day)
) AS is_incomplete"""

# Uses the keys of today_lesson, today_register and today_class_member. A day has as many rows as lessons begin at
# different times.
LESSONS = (
    """
SELECT lesson.starts_at,
       count(register.lesson_id) FILTER (WHERE NOT marks.is_incomplete) AS saved,
       count(register.lesson_id) FILTER (WHERE marks.is_incomplete) AS incomplete,
       count(*) FILTER (WHERE register.lesson_id IS NULL AND roll.has_students) AS unsaved,
       count(*) FILTER (WHERE register.lesson_id IS NULL AND NOT roll.has_students) AS empty
FROM today_lesson AS lesson
LEFT JOIN today_register AS register
    ON register.school_id = lesson.school_id AND register.day = lesson.day AND register.lesson_id = lesson.lesson_id
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT 1
    FROM today_class_member AS member
    WHERE member.school_id = lesson.school_id
    AND member.class_id = lesson.class_id
    AND member.role = 'student'
    AND member.starts_on <= lesson.day
    AND (member.ends_on IS NULL OR member.ends_on >= lesson.day)
) AS has_students) AS roll
CROSS JOIN LATERAL (SELECT """
    + IS_INCOMPLETE
    + """) AS marks
WHERE lesson.school_id = %(school_id)s
AND lesson.day = %(day)s
AND NOT lesson.is_cancelled
AND NOT coalesce(lesson.is_on_holiday, %(is_holiday)s)
GROUP BY lesson.starts_at
ORDER BY lesson.starts_at
LIMIT 2000
"""
)


async def lessons(reader: Reader, *, school_id: UUID, day: date, is_holiday: bool) -> list[LessonsAt]:
    return await reader.all(LessonsAt, LESSONS, school_id=school_id, day=day, is_holiday=is_holiday)


# Whoever got another mail about the same child and day was reached; where there was nobody to write to, anybody who got
# one since will do. Who is excused or was there after all needs no mail; a day of which nothing is known may still.
# Uses the keys of today_delivery and today_attendance_day.
NOT_REACHED: LiteralString = """
WHERE delivery.school_id = %(school_id)s
AND delivery.day = %(day)s
AND delivery.state IN ('failed', 'unreachable')
AND NOT EXISTS (
    SELECT 1
    FROM today_delivery AS other
    WHERE other.school_id = delivery.school_id
    AND other.day = delivery.day
    AND other.student_id = delivery.student_id
    AND (other.recipient_id = delivery.recipient_id OR delivery.recipient_id IS NULL)
    AND other.state = 'sent'
)
AND NOT EXISTS (
    SELECT 1
    FROM today_attendance_day AS marked
    WHERE marked.school_id = delivery.school_id
    AND marked.day = delivery.day
    AND marked.student_id = delivery.student_id
    AND NOT marked.is_unexplained_absence
)
"""

UNREACHED_STUDENTS = (
    """
SELECT delivery.student_id, coalesce(student.given_name, '') AS given_name,
       coalesce(student.family_name, '') AS family_name, count(DISTINCT delivery.recipient_id) AS guardians
FROM today_delivery AS delivery
LEFT JOIN today_student AS student
    ON student.school_id = delivery.school_id AND student.student_id = delivery.student_id
"""
    + NOT_REACHED
    + """
GROUP BY delivery.student_id, student.given_name, student.family_name
ORDER BY student.family_name, student.given_name, delivery.student_id
LIMIT 200
"""
)


async def unreached_students(reader: Reader, *, school_id: UUID, day: date) -> list[UnreachedStudent]:
    return await reader.all(UnreachedStudent, UNREACHED_STUDENTS, school_id=school_id, day=day)


UNREACHED_GUARDIANS = (
    """
SELECT count(DISTINCT delivery.recipient_id)
FROM today_delivery AS delivery
"""
    + NOT_REACHED
)


async def unreached_guardians(reader: Reader, *, school_id: UUID, day: date) -> int:
    return await reader.value(int, UNREACHED_GUARDIANS, school_id=school_id, day=day) or 0


# Uses today_absence_report_pending.
PENDING = """
SELECT count(*) FILTER (WHERE kind = 'leave') AS leave, count(*) FILTER (WHERE kind = 'absence') AS absences
FROM today_absence_report
WHERE school_id = %(school_id)s
AND state = 'pending'
AND ends_on >= %(day)s
"""


async def pending(reader: Reader, *, school_id: UUID, day: date) -> OpenReports:
    return await reader.one(OpenReports, PENDING, school_id=school_id, day=day) or OpenReports(leave=0, absences=0)


# Uses the keys of today_lesson (the lessons of a day are few), today_register and today_class_member.
TAUGHT = (
    """
SELECT lesson.lesson_id, lesson.class_id, lesson.class_title, lesson.starts_at, lesson.ends_at, lesson.is_cancelled,
       register.saved_at,
       """
    + IS_INCOMPLETE
    + """,
       (
           SELECT count(DISTINCT member.person_id)
           FROM today_class_member AS member
           WHERE member.school_id = lesson.school_id
           AND member.class_id = lesson.class_id
           AND member.role = 'student'
           AND member.starts_on <= lesson.day
           AND (member.ends_on IS NULL OR member.ends_on >= lesson.day)
       ) AS students
FROM today_lesson AS lesson
LEFT JOIN today_register AS register
    ON register.school_id = lesson.school_id AND register.day = lesson.day AND register.lesson_id = lesson.lesson_id
WHERE lesson.school_id = %(school_id)s
AND lesson.day = %(day)s
AND NOT coalesce(lesson.is_on_holiday, %(is_holiday)s)
AND %(teacher_id)s = ANY(lesson.teacher_ids)
ORDER BY lesson.starts_at, lesson.lesson_id
LIMIT 100
"""
)


async def taught(
    reader: Reader, *, school_id: UUID, day: date, teacher_id: UUID, is_holiday: bool
) -> list[LessonTaught]:
    return await reader.all(
        LessonTaught, TAUGHT, school_id=school_id, day=day, teacher_id=teacher_id, is_holiday=is_holiday
    )


class StudentRow(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
    family_name: str
    status: DayStatus


# Uses today_guardian_link_guardian. The dates of a link need no event: they are compared with today.
CHILDREN = """
SELECT student.student_id, student.given_name, student.family_name, coalesce(marked.status, 'unmarked') AS status
FROM today_student AS student
LEFT JOIN today_attendance_day AS marked
    ON marked.school_id = student.school_id AND marked.student_id = student.student_id AND marked.day = %(day)s
WHERE student.school_id = %(school_id)s
AND student.is_active
AND student.student_id IN (
    SELECT link.student_id
    FROM today_guardian_link AS link
    WHERE link.school_id = %(school_id)s
    AND link.guardian_id = %(guardian_id)s
    AND link.is_active
    AND link.may_see
    AND (link.starts_on IS NULL OR link.starts_on <= %(day)s)
    AND (link.ends_on IS NULL OR link.ends_on >= %(day)s)
)
ORDER BY student.given_name, student.student_id
LIMIT 50
"""


async def children(reader: Reader, *, school_id: UUID, guardian_id: UUID, day: date) -> list[StudentRow]:
    """Whom the guardian may see today."""
    return await reader.all(StudentRow, CHILDREN, school_id=school_id, guardian_id=guardian_id, day=day)


STUDENT = """
SELECT student.student_id, student.given_name, student.family_name, coalesce(marked.status, 'unmarked') AS status
FROM today_student AS student
LEFT JOIN today_attendance_day AS marked
    ON marked.school_id = student.school_id AND marked.student_id = student.student_id AND marked.day = %(day)s
WHERE student.school_id = %(school_id)s
AND student.student_id = %(student_id)s
AND student.is_active
"""


async def student(reader: Reader, *, school_id: UUID, student_id: UUID, day: date) -> StudentRow | None:
    return await reader.one(StudentRow, STUDENT, school_id=school_id, student_id=student_id, day=day)


class LessonRow(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    lesson_id: UUID
    class_title: str
    starts_at: datetime
    ends_at: datetime
    is_cancelled: bool


# Uses today_class_member_person and the key of today_lesson.
LESSONS_OF_STUDENTS = """
SELECT DISTINCT lesson.starts_at, member.person_id AS student_id, lesson.lesson_id, lesson.class_title, lesson.ends_at,
       lesson.is_cancelled
FROM today_class_member AS member
JOIN today_lesson AS lesson
    ON lesson.school_id = member.school_id AND lesson.class_id = member.class_id AND lesson.day = %(day)s
    AND NOT coalesce(lesson.is_on_holiday, %(is_holiday)s)
WHERE member.school_id = %(school_id)s
AND member.person_id = ANY(%(student_ids)s::uuid[])
AND member.role = 'student'
AND member.starts_on <= %(day)s
AND (member.ends_on IS NULL OR member.ends_on >= %(day)s)
ORDER BY lesson.starts_at, lesson.lesson_id
LIMIT 1000
"""


async def lessons_of_students(
    reader: Reader, *, school_id: UUID, student_ids: Sequence[UUID], day: date, is_holiday: bool
) -> list[LessonRow]:
    return await reader.all(
        LessonRow,
        LESSONS_OF_STUDENTS,
        school_id=school_id,
        student_ids=list(student_ids),
        day=day,
        is_holiday=is_holiday,
    )


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    absence_report_id: UUID
    kind: Literal["absence", "leave"]
    starts_on: date
    ends_on: date
    state: Literal["pending", "accepted"]


# Uses today_absence_report_student.
REPORTS_OF_STUDENTS = """
SELECT student_id, absence_report_id, kind, starts_on, ends_on, state
FROM today_absence_report
WHERE school_id = %(school_id)s
AND student_id = ANY(%(student_ids)s::uuid[])
AND ends_on >= %(day)s
AND starts_on <= %(day)s
AND state IN ('pending', 'accepted')
ORDER BY starts_on, absence_report_id
LIMIT 500
"""


async def reports_of_students(
    reader: Reader, *, school_id: UUID, student_ids: Sequence[UUID], day: date
) -> list[ReportRow]:
    return await reader.all(ReportRow, REPORTS_OF_STUDENTS, school_id=school_id, student_ids=list(student_ids), day=day)


# Uses today_message_recipient and the key of today_announcement.
UNREAD_MESSAGES = """
SELECT count(*)
FROM today_message AS message
JOIN today_announcement AS announcement
    ON announcement.school_id = message.school_id AND announcement.announcement_id = message.announcement_id
WHERE message.school_id = %(school_id)s
AND message.recipient_id = %(recipient_id)s
AND message.role = %(role)s
AND message.version < announcement.edition
AND NOT announcement.is_withdrawn
AND (announcement.expires_at IS NULL OR announcement.expires_at > %(now)s)
"""


async def unread_messages(reader: Reader, *, school_id: UUID, recipient_id: UUID, role: str, now: datetime) -> int:
    found = await reader.value(int, UNREAD_MESSAGES, school_id=school_id, recipient_id=recipient_id, role=role, now=now)
    return found or 0
