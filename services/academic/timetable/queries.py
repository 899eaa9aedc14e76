"""SQL over lessons, their teachers and the clashes that planning found."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.academic.calendar.queries import DAY_OF_LESSON
from services.academic.timetable.schemas import Clash, Lesson
from shared.database import Reader, Tx


class ClassRow(msgspec.Struct, frozen=True, kw_only=True):
    class_id: UUID
    title: str
    periods: list[str]
    room: str | None
    grades: list[str]


class TermRow(msgspec.Struct, frozen=True, kw_only=True):
    class_id: UUID
    starts_on: date
    ends_on: date


class TeacherRow(msgspec.Struct, frozen=True, kw_only=True):
    class_id: UUID
    teacher_id: UUID
    starts_on: date
    ends_on: date | None


class LessonRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson as it stands, with what planning needs to tell whether it may be touched."""

    id: UUID
    class_id: UUID
    class_title: str
    day: date
    period: str
    starts_at: datetime
    ends_at: datetime
    room: str | None
    has_own_room: bool
    origin: str
    is_cancelled: bool
    has_register: bool
    teacher_ids: list[UUID]
    version: int


class ClashRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson that the classes ask for and that cannot be."""

    class_id: UUID
    class_title: str
    day: date
    period: str
    kind: str
    other_class_id: UUID
    other_class_title: str


LOCK_TIMETABLE = """
SELECT pg_advisory_xact_lock(hashtextextended('timetable:' || %(school_id)s::text, 0))
"""


async def lock_timetable(tx: Tx, *, school_id: UUID) -> None:
    """One planning of a school at a time, until the end of the transaction."""
    await tx.execute(LOCK_TIMETABLE, school_id=school_id)


ACTIVE_CLASSES = """
SELECT id AS class_id, title, periods, room, grades
FROM school_class
WHERE school_id = %(school_id)s
AND is_active
ORDER BY title, id
LIMIT 10000
"""


async def active_classes(reader: Reader, *, school_id: UUID) -> list[ClassRow]:
    return await reader.all(ClassRow, ACTIVE_CLASSES, school_id=school_id)


GRADES_OF_CLASS = """
SELECT grades
FROM school_class
WHERE school_id = %(school_id)s
AND id = %(class_id)s
"""


class GradesRow(msgspec.Struct, frozen=True):
    grades: list[str]


async def grades_of_class(reader: Reader, *, school_id: UUID, class_id: UUID) -> list[str]:
    found = await reader.one(GradesRow, GRADES_OF_CLASS, school_id=school_id, class_id=class_id)
    return found.grades if found else []


TERMS_OF_CLASSES = """
SELECT class_term.class_id, academic_session.starts_on, academic_session.ends_on
FROM class_term
JOIN academic_session
    ON academic_session.school_id = class_term.school_id
    AND academic_session.id = class_term.academic_session_id
WHERE class_term.school_id = %(school_id)s
ORDER BY class_term.class_id, academic_session.starts_on, academic_session.id
LIMIT 50000
"""


async def terms_of_classes(reader: Reader, *, school_id: UUID) -> list[TermRow]:
    return await reader.all(TermRow, TERMS_OF_CLASSES, school_id=school_id)


TEACHERS_OF_CLASSES = """
SELECT class_id, teacher_id, starts_on, ends_on
FROM enrolment
WHERE school_id = %(school_id)s
AND role = 'teacher'
ORDER BY class_id, teacher_id, starts_on
LIMIT 50000
"""


async def teachers_of_classes(reader: Reader, *, school_id: UUID) -> list[TeacherRow]:
    return await reader.all(TeacherRow, TEACHERS_OF_CLASSES, school_id=school_id)


LESSONS = """
SELECT lesson.id, lesson.class_id, school_class.title AS class_title, lesson.day, lesson.period, lesson.starts_at,
       lesson.ends_at, lesson.room, lesson.has_own_room, lesson.origin, lesson.is_cancelled,
       register.lesson_id IS NOT NULL AS has_register,
       array(
           SELECT lesson_teacher.teacher_id
           FROM lesson_teacher
           WHERE lesson_teacher.school_id = lesson.school_id
           AND lesson_teacher.lesson_id = lesson.id
           ORDER BY lesson_teacher.teacher_id
       ) AS teacher_ids, lesson.version
FROM lesson
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
LEFT JOIN register ON register.school_id = lesson.school_id AND register.lesson_id = lesson.id
WHERE lesson.school_id = %(school_id)s
ORDER BY lesson.starts_at, lesson.id
LIMIT 200000
"""


async def lessons(reader: Reader, *, school_id: UUID) -> list[LessonRow]:
    """Every lesson of a school: for planning, which compares them all."""
    return await reader.all(LessonRow, LESSONS, school_id=school_id)


# Who saves a register holds its lesson: this waits for them, and whoever saves next waits for us.
LOCK_LESSONS = """
SELECT id
FROM lesson
WHERE school_id = %(school_id)s
AND id = ANY(%(ids)s)
ORDER BY id
LIMIT 200000
FOR UPDATE
"""


async def lock_lessons(tx: Tx, *, school_id: UUID, ids: Sequence[UUID]) -> None:
    await tx.execute(LOCK_LESSONS, school_id=school_id, ids=list(ids))


# Uses register_pkey.
HAVE_REGISTERS = """
SELECT EXISTS (
    SELECT 1
    FROM register
    WHERE school_id = %(school_id)s
    AND lesson_id = ANY(%(ids)s)
)
"""


async def have_registers(tx: Tx, *, school_id: UUID, ids: Sequence[UUID]) -> bool:
    """Whether somebody has saved the register of any of these lessons."""
    return await tx.value(bool, HAVE_REGISTERS, school_id=school_id, ids=list(ids)) or False


REMOVE_LESSONS = """
DELETE FROM lesson
WHERE school_id = %(school_id)s
AND id = ANY(%(ids)s)
"""


async def remove_lessons(tx: Tx, *, school_id: UUID, ids: Sequence[UUID]) -> None:
    """Raises ForeignKeyViolation for one with a register."""
    await tx.execute(REMOVE_LESSONS, school_id=school_id, ids=list(ids))


ADD_LESSONS = """
INSERT INTO lesson (
    school_id, id, class_id, day, period, starts_at, ends_at, room, has_own_room, origin, is_cancelled, version
)
SELECT %(school_id)s, id, class_id, day, period, starts_at, ends_at, room, has_own_room, origin, is_cancelled, version
FROM unnest(
    %(ids)s::uuid[], %(class_ids)s::uuid[], %(days)s::date[], %(periods)s::text[], %(starts)s::timestamptz[],
    %(ends)s::timestamptz[], %(rooms)s::text[], %(own_rooms)s::boolean[], %(origins)s::text[],
    %(cancelled)s::boolean[], %(versions)s::bigint[]
) AS wanted (
    id, class_id, day, period, starts_at, ends_at, room, has_own_room, origin, is_cancelled, version
)
"""

ADD_LESSON_TEACHERS = """
INSERT INTO lesson_teacher (school_id, lesson_id, teacher_id, starts_at, ends_at, is_cancelled)
SELECT %(school_id)s, lesson_id, teacher_id, starts_at, ends_at, is_cancelled
FROM unnest(
    %(lesson_ids)s::uuid[], %(teacher_ids)s::uuid[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
    %(cancelled)s::boolean[]
) AS wanted (lesson_id, teacher_id, starts_at, ends_at, is_cancelled)
"""


async def add_lessons(tx: Tx, *, school_id: UUID, rows: Sequence[LessonRow]) -> None:
    """Insert lessons with their teachers. Raises ExclusionViolation when one would clash."""
    await tx.execute(
        ADD_LESSONS,
        school_id=school_id,
        ids=[row.id for row in rows],
        class_ids=[row.class_id for row in rows],
        days=[row.day for row in rows],
        periods=[row.period for row in rows],
        starts=[row.starts_at for row in rows],
        ends=[row.ends_at for row in rows],
        rooms=[row.room for row in rows],
        own_rooms=[row.has_own_room for row in rows],
        origins=[row.origin for row in rows],
        cancelled=[row.is_cancelled for row in rows],
        versions=[row.version for row in rows],
    )
    pairs = [(row, teacher_id) for row in rows for teacher_id in row.teacher_ids]
    await tx.execute(
        ADD_LESSON_TEACHERS,
        school_id=school_id,
        lesson_ids=[row.id for row, _ in pairs],
        teacher_ids=[teacher_id for _, teacher_id in pairs],
        starts=[row.starts_at for row, _ in pairs],
        ends=[row.ends_at for row, _ in pairs],
        cancelled=[row.is_cancelled for row, _ in pairs],
    )


FORGET_CLASHES = "DELETE FROM timetable_clash WHERE school_id = %(school_id)s"

ADD_CLASHES = """
INSERT INTO timetable_clash (school_id, class_id, day, period, kind, other_class_id)
SELECT %(school_id)s, class_id, day, period, kind, other_class_id
FROM unnest(
    %(class_ids)s::uuid[], %(days)s::date[], %(periods)s::text[], %(kinds)s::text[], %(other_class_ids)s::uuid[]
) AS found (class_id, day, period, kind, other_class_id)
"""


async def save_clashes(tx: Tx, *, school_id: UUID, clashes: Iterable[Clash]) -> None:
    """Replace what the last planning found."""
    found = list(clashes)
    await tx.execute(FORGET_CLASHES, school_id=school_id)
    await tx.execute(
        ADD_CLASHES,
        school_id=school_id,
        class_ids=[clash.class_id for clash in found],
        days=[clash.day for clash in found],
        periods=[clash.period for clash in found],
        kinds=[clash.kind for clash in found],
        other_class_ids=[clash.other_class_id for clash in found],
    )


CLASHES = """
SELECT timetable_clash.class_id, school_class.title AS class_title, timetable_clash.day, timetable_clash.period,
       timetable_clash.kind, timetable_clash.other_class_id, other_class.title AS other_class_title
FROM timetable_clash
JOIN school_class
    ON school_class.school_id = timetable_clash.school_id AND school_class.id = timetable_clash.class_id
JOIN school_class AS other_class
    ON other_class.school_id = timetable_clash.school_id AND other_class.id = timetable_clash.other_class_id
WHERE timetable_clash.school_id = %(school_id)s
AND (timetable_clash.day, timetable_clash.class_id, timetable_clash.period)
    > (%(after_day)s, %(after_class_id)s, %(after_period)s)
ORDER BY timetable_clash.day, timetable_clash.class_id, timetable_clash.period
LIMIT %(limit)s
"""


async def clashes(reader: Reader, *, school_id: UUID, after: tuple[date, UUID, str], limit: int) -> list[ClashRow]:
    day, class_id, period = after
    return await reader.all(
        ClashRow,
        CLASHES,
        school_id=school_id,
        after_day=day,
        after_class_id=class_id,
        after_period=period,
        limit=limit,
    )


SELECT_LESSON: LiteralString = """
SELECT lesson.id, lesson.class_id, school_class.title AS class_title, lesson.day, lesson.period, lesson.starts_at,
       lesson.ends_at, lesson.room,
       array(
           SELECT lesson_teacher.teacher_id
           FROM lesson_teacher
           WHERE lesson_teacher.school_id = lesson.school_id
           AND lesson_teacher.lesson_id = lesson.id
           ORDER BY lesson_teacher.teacher_id
       ) AS teacher_ids,
       lesson.is_cancelled, coalesce(register.version, 0) AS register_version, lesson.version
FROM lesson
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
LEFT JOIN register ON register.school_id = lesson.school_id AND register.lesson_id = lesson.id
"""

# Uses lesson_day; for one student enrolment_student, for one teacher the keys of lesson_teacher.
OF_DAY: LiteralString = """
WHERE lesson.school_id = %(school_id)s
AND lesson.day = %(day)s
"""
OF_TEACHER: LiteralString = """
AND lesson.id IN (
    SELECT lesson_teacher.lesson_id
    FROM lesson_teacher
    WHERE lesson_teacher.school_id = %(school_id)s
    AND lesson_teacher.teacher_id = %(teacher_id)s
)
"""
OF_STUDENT: LiteralString = """
AND lesson.class_id IN (
    SELECT enrolment.class_id
    FROM enrolment
    WHERE enrolment.school_id = %(school_id)s
    AND enrolment.student_id = %(student_id)s
    AND enrolment.starts_on <= %(day)s
    AND (enrolment.ends_on IS NULL OR enrolment.ends_on >= %(day)s)
)
"""
IN_ORDER: LiteralString = """
ORDER BY lesson.starts_at, school_class.title, lesson.id
LIMIT 1000
"""
LESSONS_OF_DAY = SELECT_LESSON + OF_DAY + IN_ORDER
LESSONS_OF_TEACHER = SELECT_LESSON + OF_DAY + OF_TEACHER + IN_ORDER
LESSONS_OF_STUDENT = SELECT_LESSON + OF_DAY + OF_STUDENT + IN_ORDER


async def lessons_of_day(
    reader: Reader, *, school_id: UUID, day: date, teacher_id: UUID | None = None, student_id: UUID | None = None
) -> list[Lesson]:
    """Those of one teacher, or of one student, when told; else the whole school's."""
    if teacher_id is not None:
        return await reader.all(Lesson, LESSONS_OF_TEACHER, school_id=school_id, day=day, teacher_id=teacher_id)
    if student_id is not None:
        return await reader.all(Lesson, LESSONS_OF_STUDENT, school_id=school_id, day=day, student_id=student_id)
    return await reader.all(Lesson, LESSONS_OF_DAY, school_id=school_id, day=day)


# Uses register_pkey.
REGISTER_VERSIONS = """
SELECT lesson_id, version
FROM register
WHERE school_id = %(school_id)s
AND lesson_id = ANY(%(lesson_ids)s)
ORDER BY lesson_id
LIMIT 1000
"""


class RegisterVersion(msgspec.Struct, frozen=True):
    lesson_id: UUID
    version: int


async def register_versions(reader: Reader, *, school_id: UUID, lesson_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Of the lessons whose register was saved."""
    found = await reader.all(RegisterVersion, REGISTER_VERSIONS, school_id=school_id, lesson_ids=list(lesson_ids))
    return {row.lesson_id: row.version for row in found}


LESSON = (
    SELECT_LESSON
    + """
WHERE lesson.school_id = %(school_id)s
AND lesson.id = %(lesson_id)s
"""
)


async def lesson(reader: Reader, *, school_id: UUID, lesson_id: UUID) -> Lesson | None:
    return await reader.one(Lesson, LESSON, school_id=school_id, lesson_id=lesson_id)


HOLD_LESSON = LESSON + "FOR KEY SHARE OF lesson"


async def hold_lesson(tx: Tx, *, school_id: UUID, lesson_id: UUID) -> Lesson | None:
    """The lesson, which until the transaction ends nobody cancels, brings back or tells of as missing its register.

    None too when planning made it anew while this waited.
    """
    return await tx.one(Lesson, HOLD_LESSON, school_id=school_id, lesson_id=lesson_id)


# A room is the lesson's own from when it is changed until it is that of the class again.
CHANGE_LESSON = """
UPDATE lesson
SET room = %(room)s,
    has_own_room = (has_own_room OR room IS DISTINCT FROM %(room)s) AND %(room)s IS DISTINCT FROM (
        SELECT school_class.room
        FROM school_class
        WHERE school_class.school_id = %(school_id)s
        AND school_class.id = lesson.class_id
    ),
    is_cancelled = %(is_cancelled)s, version = version + 1
WHERE school_id = %(school_id)s
AND id = %(lesson_id)s
"""


async def change_lesson(tx: Tx, *, school_id: UUID, lesson_id: UUID, room: str | None, is_cancelled: bool) -> None:
    """The lesson's teachers follow by the foreign key. Raises ExclusionViolation."""
    await tx.execute(CHANGE_LESSON, school_id=school_id, lesson_id=lesson_id, room=room, is_cancelled=is_cancelled)


OTHER_LESSON = (
    SELECT_LESSON
    + """
WHERE lesson.school_id = %(school_id)s
AND lesson.during && tstzrange(%(starts_at)s, %(ends_at)s)
AND NOT lesson.is_cancelled
AND lesson.id <> %(lesson_id)s
AND (
    lesson.class_id = %(class_id)s
    OR lesson.room = %(room)s
    OR EXISTS (
        SELECT 1
        FROM lesson_teacher
        WHERE lesson_teacher.school_id = lesson.school_id
        AND lesson_teacher.lesson_id = lesson.id
        AND lesson_teacher.teacher_id = ANY(%(teacher_ids)s)
    )
)
ORDER BY lesson.starts_at, lesson.id
LIMIT 1
"""
)


async def other_lesson(
    reader: Reader,
    *,
    school_id: UUID,
    lesson_id: UUID,
    class_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    room: str | None,
    teacher_ids: Sequence[UUID],
) -> Lesson | None:
    """The lesson that stands in the way of another."""
    return await reader.one(
        Lesson,
        OTHER_LESSON,
        school_id=school_id,
        lesson_id=lesson_id,
        class_id=class_id,
        starts_at=starts_at,
        ends_at=ends_at,
        room=room,
        teacher_ids=list(teacher_ids),
    )


HOLIDAY_OF_LESSON = (
    """
SELECT special_day.title
FROM lesson
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
"""
    + DAY_OF_LESSON
    + """
WHERE lesson.school_id = %(school_id)s
AND lesson.id = %(lesson_id)s
AND lesson.origin = 'planned'
AND special_day.kind = 'holiday'
"""
)


async def holiday_of_lesson(reader: Reader, *, school_id: UUID, lesson_id: UUID) -> str | None:
    """The title of the holiday that keeps a lesson from being held; None for one that was added by hand."""
    return await reader.value(str, HOLIDAY_OF_LESSON, school_id=school_id, lesson_id=lesson_id)


# The tables stand outside the tenant's wall (ADR 0803).
WATCH_LESSONS = """
WITH plan AS (
    INSERT INTO plan_watch AS existing (school_id, due_at)
    VALUES (%(school_id)s, %(due_at)s)
    ON CONFLICT (school_id) DO UPDATE
    SET due_at = least(existing.due_at, excluded.due_at)
)
INSERT INTO lesson_watch AS existing (school_id, due_at)
VALUES (%(school_id)s, %(due_at)s)
ON CONFLICT (school_id) DO UPDATE
SET due_at = least(existing.due_at, excluded.due_at)
"""


async def watch_lessons(tx: Tx, *, school_id: UUID, due_at: datetime) -> None:
    """Have the worker look at the school's lessons by then: they changed, and so may have what is due or was told."""
    await tx.execute(WATCH_LESSONS, school_id=school_id, due_at=due_at)


CLASH_COUNT = """
SELECT count(*)
FROM timetable_clash
WHERE school_id = %(school_id)s
"""


async def clash_count(reader: Reader, *, school_id: UUID) -> int:
    return await reader.value(int, CLASH_COUNT, school_id=school_id) or 0
