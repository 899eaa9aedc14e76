"""SQL over lessons without a register, what was told of them, and which school to look at next."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from services.academic.calendar.queries import DAY_OF_LESSON
from services.academic.missing_registers.schemas import DueLesson, OpenLesson, Step, ToldLesson
from shared.database import Reader, Tx

# Uses lesson_watch_due.
CLAIM_SCHOOL = """
-- unscoped: which school is to be looked at; an id only
SELECT school_id
FROM lesson_watch
WHERE due_at <= %(now)s
ORDER BY due_at, school_id
LIMIT 1
FOR UPDATE SKIP LOCKED
"""


async def claim_school(tx: Tx, *, now: datetime) -> UUID | None:
    """A school that is due and in nobody else's hands; ours until the transaction ends."""
    return await tx.value(UUID, CLAIM_SCHOOL, now=now)


LOOK_AGAIN = """
UPDATE lesson_watch
SET due_at = %(due_at)s
WHERE school_id = %(school_id)s
"""


async def look_again(tx: Tx, *, school_id: UUID, due_at: datetime) -> None:
    await tx.execute(LOOK_AGAIN, school_id=school_id, due_at=due_at)


# Whether a lesson meets, and somebody of its roll lacks a mark: who left the class may not be in the register any more.
LACKS_A_MARK: LiteralString = """
(
    NOT lesson.is_cancelled
    AND special_day.kind IS DISTINCT FROM 'holiday'
    AND EXISTS (
        SELECT 1
        FROM enrolment
        WHERE enrolment.school_id = lesson.school_id
        AND enrolment.class_id = lesson.class_id
        AND enrolment.role = 'student'
        AND enrolment.starts_on <= lesson.day
        AND (enrolment.ends_on IS NULL OR enrolment.ends_on >= lesson.day)
        AND NOT EXISTS (
            SELECT 1
            FROM attendance_mark
            WHERE attendance_mark.school_id = lesson.school_id
            AND attendance_mark.lesson_id = lesson.id
            AND attendance_mark.student_id = enrolment.student_id
        )
    )
)
"""
IS_SAVED_WHOLE: LiteralString = """
EXISTS (
    SELECT 1
    FROM register
    WHERE register.school_id = lesson.school_id
    AND register.lesson_id = lesson.id
    AND register.is_complete
)
"""

# Uses lesson_day: the days are a little wider than the instants, whatever the zone. Null ids let every lesson pass.
OPEN_LESSONS = (
    """
SELECT lesson.id AS lesson_id, lesson.class_id, school_class.title AS class_title, lesson.day, lesson.starts_at,
       lesson.ends_at,
       array(
           SELECT lesson_teacher.teacher_id
           FROM lesson_teacher
           WHERE lesson_teacher.school_id = lesson.school_id
           AND lesson_teacher.lesson_id = lesson.id
           ORDER BY lesson_teacher.teacher_id
       ) AS teacher_ids,
       array(
           SELECT register_notice.step
           FROM register_notice
           WHERE register_notice.school_id = lesson.school_id
           AND register_notice.lesson_id = lesson.id
       ) AS told
FROM lesson
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
"""
    + DAY_OF_LESSON
    + """
WHERE lesson.school_id = %(school_id)s
AND lesson.day BETWEEN (%(since)s)::date - 1 AND (%(until)s)::date + 1
AND lesson.starts_at > %(since)s
AND lesson.starts_at <= %(until)s
AND (%(lesson_ids)s::uuid[] IS NULL OR lesson.id = ANY(%(lesson_ids)s))
AND NOT
"""
    + IS_SAVED_WHOLE
    + """
AND
"""
    + LACKS_A_MARK
    + """
ORDER BY lesson.starts_at, lesson.id
LIMIT 10000
"""
)


async def open_lessons(
    reader: Reader, *, school_id: UUID, since: datetime, until: datetime, lesson_ids: Sequence[UUID] | None = None
) -> list[OpenLesson]:
    """Lessons that begin after `since`, until `until`, meet, and lack a register or somebody in it; or those of them
    named.
    """
    return await reader.all(
        OpenLesson,
        OPEN_LESSONS,
        school_id=school_id,
        since=since,
        until=until,
        lesson_ids=None if lesson_ids is None else list(lesson_ids),
    )


class LockedLesson(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID


# Who saves a register holds its lesson: what is being saved is let through and looked at later,
# and whoever saves next waits for us.
LOCK_LESSONS = """
SELECT id
FROM lesson
WHERE school_id = %(school_id)s
AND id = ANY(%(lesson_ids)s)
ORDER BY id
LIMIT 10000
FOR UPDATE SKIP LOCKED
"""


async def lock_lessons(tx: Tx, *, school_id: UUID, lesson_ids: Sequence[UUID]) -> list[UUID]:
    """Those of the lessons that nobody else has in hand: until the transaction ends nobody saves their registers."""
    rows = await tx.all(LockedLesson, LOCK_LESSONS, school_id=school_id, lesson_ids=list(lesson_ids))
    return [row.id for row in rows]


ADD_NOTICES = """
INSERT INTO register_notice (school_id, lesson_id, step, told_at)
SELECT %(school_id)s, lesson_id, step, %(now)s
FROM unnest(%(lesson_ids)s::uuid[], %(steps)s::text[]) AS due (lesson_id, step)
ON CONFLICT (school_id, lesson_id, step) DO NOTHING
RETURNING lesson_id, step
"""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    lesson_id: UUID
    step: Step


async def add_notices(tx: Tx, *, school_id: UUID, due: Sequence[DueLesson], now: datetime) -> list[Notice]:
    """Note what is told; only what comes back may be."""
    return await tx.all(
        Notice,
        ADD_NOTICES,
        school_id=school_id,
        lesson_ids=[each.lesson.lesson_id for each in due],
        steps=[each.step for each in due],
        now=now,
    )


# Uses register_notice_told. Who saved a register whole has told so. Null ids let every lesson pass.
TOLD_IN_VAIN = (
    """
SELECT DISTINCT register_notice.lesson_id, lesson.id IS NOT NULL AS is_planned
FROM register_notice
LEFT JOIN lesson ON lesson.school_id = register_notice.school_id AND lesson.id = register_notice.lesson_id
LEFT JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
"""
    + DAY_OF_LESSON
    + """
WHERE register_notice.school_id = %(school_id)s
AND register_notice.told_at > %(since)s
AND (%(lesson_ids)s::uuid[] IS NULL OR register_notice.lesson_id = ANY(%(lesson_ids)s))
AND (lesson.id IS NULL OR NOT
"""
    + IS_SAVED_WHOLE
    + """
AND NOT
"""
    + LACKS_A_MARK
    + """
)
ORDER BY register_notice.lesson_id
LIMIT 10000
"""
)


async def told_in_vain(
    reader: Reader, *, school_id: UUID, since: datetime, lesson_ids: Sequence[UUID] | None = None
) -> list[ToldLesson]:
    """Lessons of which somebody was told since then, or those of them named, and whose register nobody misses any more,
    though nobody saved it whole.
    """
    return await reader.all(
        ToldLesson,
        TOLD_IN_VAIN,
        school_id=school_id,
        since=since,
        lesson_ids=None if lesson_ids is None else list(lesson_ids),
    )


FORGET_NOTICES = """
DELETE FROM register_notice
WHERE school_id = %(school_id)s
AND lesson_id = ANY(%(lesson_ids)s)
"""


async def forget_notices(tx: Tx, *, school_id: UUID, lesson_ids: Sequence[UUID]) -> None:
    """As if nobody had been told of these lessons: who was, has been told since that nothing is missing."""
    await tx.execute(FORGET_NOTICES, school_id=school_id, lesson_ids=list(lesson_ids))


class MissingRow(msgspec.Struct, frozen=True, kw_only=True):
    lesson_id: UUID
    class_id: UUID
    class_title: str
    day: date
    period: str
    starts_at: datetime
    ends_at: datetime
    room: str | None
    teacher_ids: list[UUID]
    is_saved: bool
    students: int
    unmarked: int
    reminded_at: datetime | None
    escalated_at: datetime | None


class MissingFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of them; what is None does not narrow."""

    first: date
    last: date
    teacher_id: UUID | None = None
    other_teacher_id: UUID | None = None
    class_id: UUID | None = None
    is_saved: bool | None = None


# The newest first: lesson_day from its end. Whoever is on the roll and was never marked is unmarked.
MISSING_REGISTERS = (
    """
SELECT lesson.id AS lesson_id, lesson.class_id, school_class.title AS class_title, lesson.day, lesson.period,
       lesson.starts_at, lesson.ends_at, lesson.room,
       array(
           SELECT lesson_teacher.teacher_id
           FROM lesson_teacher
           WHERE lesson_teacher.school_id = lesson.school_id
           AND lesson_teacher.lesson_id = lesson.id
           ORDER BY lesson_teacher.teacher_id
       ) AS teacher_ids,
       register.lesson_id IS NOT NULL AS is_saved, roll.students, roll.unmarked,
       (
           SELECT told_at
           FROM register_notice
           WHERE register_notice.school_id = lesson.school_id
           AND register_notice.lesson_id = lesson.id
           AND register_notice.step = 'teacher'
       ) AS reminded_at,
       (
           SELECT told_at
           FROM register_notice
           WHERE register_notice.school_id = lesson.school_id
           AND register_notice.lesson_id = lesson.id
           AND register_notice.step = 'office'
       ) AS escalated_at
FROM lesson
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
LEFT JOIN register ON register.school_id = lesson.school_id AND register.lesson_id = lesson.id
CROSS JOIN LATERAL (
    SELECT count(*) AS students, count(*) FILTER (WHERE NOT EXISTS (
        SELECT 1
        FROM attendance_mark
        WHERE attendance_mark.school_id = lesson.school_id
        AND attendance_mark.lesson_id = lesson.id
        AND attendance_mark.student_id = enrolment.student_id
    )) AS unmarked
    FROM enrolment
    WHERE enrolment.school_id = lesson.school_id
    AND enrolment.class_id = lesson.class_id
    AND enrolment.role = 'student'
    AND enrolment.starts_on <= lesson.day
    AND (enrolment.ends_on IS NULL OR enrolment.ends_on >= lesson.day)
) AS roll
"""
    + DAY_OF_LESSON
    + """
WHERE lesson.school_id = %(school_id)s
AND lesson.day BETWEEN %(first)s AND %(last)s
AND (lesson.day, lesson.starts_at, lesson.id) < (%(before_day)s, %(before_starts_at)s, %(before_id)s)
AND lesson.starts_at <= %(now)s
AND NOT lesson.is_cancelled
AND roll.unmarked > 0
AND (%(class_id)s::uuid IS NULL OR lesson.class_id = %(class_id)s)
AND (%(is_saved)s::boolean IS NULL OR (register.lesson_id IS NOT NULL) = %(is_saved)s)
AND (%(teacher_id)s::uuid IS NULL OR EXISTS (
    SELECT 1
    FROM lesson_teacher
    WHERE lesson_teacher.school_id = lesson.school_id
    AND lesson_teacher.lesson_id = lesson.id
    AND lesson_teacher.teacher_id = %(teacher_id)s
))
AND (%(other_teacher_id)s::uuid IS NULL OR EXISTS (
    SELECT 1
    FROM lesson_teacher
    WHERE lesson_teacher.school_id = lesson.school_id
    AND lesson_teacher.lesson_id = lesson.id
    AND lesson_teacher.teacher_id = %(other_teacher_id)s
))
AND special_day.kind IS DISTINCT FROM 'holiday'
ORDER BY lesson.day DESC, lesson.starts_at DESC, lesson.id DESC
LIMIT %(limit)s
"""
)


async def missing_registers(
    reader: Reader,
    *,
    school_id: UUID,
    only: MissingFilter,
    before: tuple[date, datetime, UUID],
    now: datetime,
    limit: int,
) -> list[MissingRow]:
    day, starts_at, lesson_id = before
    return await reader.all(
        MissingRow,
        MISSING_REGISTERS,
        school_id=school_id,
        before_day=day,
        before_starts_at=starts_at,
        before_id=lesson_id,
        now=now,
        limit=limit,
        **msgspec.structs.asdict(only),
    )
