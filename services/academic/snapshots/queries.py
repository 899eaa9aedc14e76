"""SQL over what was told last of each record, page by page in order of ids. No statement is wider than its page."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Literal, LiteralString
from uuid import UUID

import msgspec

from shared.contracts.academic import (
    GuardianLinkChanged,
    RegisterSaved,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.snapshots import AbsenceReportKept, AttendanceDayKept, Kept, SnapshotKind, SnapshotRow
from shared.database import Tx

STUDENTS = """
SELECT id AS student_id, given_name, family_name, email, grade, is_active, version
FROM student
WHERE school_id = %(school_id)s
AND id > %(after_id)s
ORDER BY id
LIMIT %(limit)s
"""


class StudentRow(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
    family_name: str
    email: str | None
    grade: str | None
    is_active: bool
    version: int


TEACHERS = """
SELECT id AS teacher_id, given_name, family_name, email, is_active, version
FROM teacher
WHERE school_id = %(school_id)s
AND id > %(after_id)s
ORDER BY id
LIMIT %(limit)s
"""


class TeacherRow(msgspec.Struct, frozen=True, kw_only=True):
    teacher_id: UUID
    given_name: str
    family_name: str
    email: str | None
    is_active: bool
    version: int


GUARDIAN_LINKS = """
SELECT id AS guardian_link_id, guardian_id, student_id, relation, may_see, receives_alerts, priority, starts_on,
       ends_on, is_active, version
FROM guardian_link
WHERE school_id = %(school_id)s
AND id > %(after_id)s
ORDER BY id
LIMIT %(limit)s
"""


class LinkRow(msgspec.Struct, frozen=True, kw_only=True):
    guardian_link_id: UUID
    guardian_id: UUID
    student_id: UUID
    relation: str
    may_see: bool
    receives_alerts: bool
    priority: int
    starts_on: date | None
    ends_on: date | None
    is_active: bool
    version: int


ABSENCE_REPORTS = """
SELECT id AS absence_report_id, student_id, kind, starts_on, ends_on, state, version
FROM absence_report
WHERE school_id = %(school_id)s
AND id > %(after_id)s
AND ends_on >= %(day)s
ORDER BY id
LIMIT %(limit)s
"""


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    absence_report_id: UUID
    student_id: UUID
    kind: Literal["absence", "leave"]
    starts_on: date
    ends_on: date
    state: Literal["pending", "accepted", "refused", "withdrawn"]
    version: int


# Version 0 is a day that was only ever locked. One look into the key for each student.
ATTENDANCE_DAYS = """
SELECT student.id AS student_id, attendance_day.day, attendance_day.status, attendance_day.is_unexplained_absence,
       attendance_day.version
FROM student
JOIN attendance_day
    ON attendance_day.school_id = student.school_id AND attendance_day.student_id = student.id
    AND attendance_day.day = %(day)s
WHERE student.school_id = %(school_id)s
AND student.id > %(after_id)s
AND attendance_day.version > 0
ORDER BY student.id
LIMIT %(limit)s
"""


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    day: date
    status: Literal["present", "late", "absent", "excused", "unmarked"]
    is_unexplained_absence: bool
    version: int


# Uses lesson_day.
REGISTERS = """
SELECT lesson.id AS lesson_id, lesson.day, register.saved_at, register.version, register.is_complete,
       counts.present, counts.absent, counts.late, counts.excused, counts.marked_student_ids
FROM lesson
JOIN register ON register.school_id = lesson.school_id AND register.lesson_id = lesson.id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE current.kind = 'present') AS present,
           count(*) FILTER (WHERE current.kind = 'absent') AS absent,
           count(*) FILTER (WHERE current.kind = 'late') AS late,
           count(*) FILTER (WHERE current.kind = 'excused') AS excused,
           coalesce(array_agg(current.student_id ORDER BY current.student_id), '{}') AS marked_student_ids
    FROM (
        SELECT DISTINCT ON (attendance_mark.student_id) attendance_mark.student_id, attendance_mark.kind
        FROM attendance_mark
        WHERE attendance_mark.school_id = lesson.school_id
        AND attendance_mark.lesson_id = lesson.id
        ORDER BY attendance_mark.student_id, attendance_mark.register_version DESC
    ) AS current
) AS counts
WHERE lesson.school_id = %(school_id)s
AND lesson.day = %(day)s
AND lesson.id > %(after_id)s
AND register.version > 0
ORDER BY lesson.id
LIMIT %(limit)s
"""


class RegisterRow(msgspec.Struct, frozen=True, kw_only=True):
    lesson_id: UUID
    day: date
    saved_at: datetime
    version: int
    is_complete: bool
    present: int
    absent: int
    late: int
    excused: int
    marked_student_ids: list[UUID]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A kind whose rows are read by one statement, as what they are told."""

    statement: LiteralString
    row: type[msgspec.Struct]
    as_told: Callable[..., Kept]


SOURCES: Mapping[SnapshotKind, Source] = {
    "students": Source(statement=STUDENTS, row=StudentRow, as_told=StudentChanged),
    "teachers": Source(statement=TEACHERS, row=TeacherRow, as_told=TeacherChanged),
    "guardian_links": Source(statement=GUARDIAN_LINKS, row=LinkRow, as_told=GuardianLinkChanged),
    "absence_reports": Source(statement=ABSENCE_REPORTS, row=ReportRow, as_told=AbsenceReportKept),
    "attendance_days": Source(statement=ATTENDANCE_DAYS, row=DayRow, as_told=AttendanceDayKept),
    "registers": Source(statement=REGISTERS, row=RegisterRow, as_told=RegisterSaved),
}


async def rows(
    tx: Tx, kind: SnapshotKind, *, school_id: UUID, day: date, after_id: UUID, limit: int
) -> list[SnapshotRow]:
    source = SOURCES[kind]
    found = await tx.all(source.row, source.statement, school_id=school_id, day=day, after_id=after_id, limit=limit)
    told: list[SnapshotRow] = []
    for row in found:
        fields = msgspec.structs.asdict(row)
        version = fields.pop("version")
        told.append(SnapshotRow(version=version, data=source.as_told(**fields)))
    return told


class ClassRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    title: str
    is_active: bool
    grades: list[str]
    version: int


CLASSES = """
SELECT id, title, is_active, grades, version
FROM school_class
WHERE school_id = %(school_id)s
AND id > %(after_id)s
ORDER BY id
LIMIT %(limit)s
"""


async def classes(tx: Tx, *, school_id: UUID, after_id: UUID, limit: int) -> list[ClassRow]:
    return await tx.all(ClassRow, CLASSES, school_id=school_id, after_id=after_id, limit=limit)
