"""SQL over the lessons of a day as they are told, and which school to look at next."""

from datetime import date, datetime
from typing import Final
from uuid import UUID

from services.academic.calendar.queries import DAY_OF_LESSON
from shared.contracts.academic import LessonOfDay
from shared.database import Reader, Tx

MAX_LESSONS: Final = 2000

# Uses plan_watch_due.
CLAIM_SCHOOL = """
-- unscoped: which school is to be looked at; an id only
SELECT school_id
FROM plan_watch
WHERE due_at <= %(now)s
ORDER BY due_at, school_id
LIMIT 1
FOR UPDATE SKIP LOCKED
"""


async def claim_school(tx: Tx, *, now: datetime) -> UUID | None:
    """A school that is due and in nobody else's hands; ours until the transaction ends."""
    return await tx.value(UUID, CLAIM_SCHOOL, now=now)


LOOK_AGAIN = """
UPDATE plan_watch
SET due_at = %(due_at)s
WHERE school_id = %(school_id)s
"""


async def look_again(tx: Tx, *, school_id: UUID, due_at: datetime) -> None:
    await tx.execute(LOOK_AGAIN, school_id=school_id, due_at=due_at)


# Uses lesson_day.
LESSONS = (
    """
SELECT lesson.id AS lesson_id, lesson.class_id, school_class.title AS class_title, lesson.starts_at, lesson.ends_at,
       array(
           SELECT lesson_teacher.teacher_id
           FROM lesson_teacher
           WHERE lesson_teacher.school_id = lesson.school_id
           AND lesson_teacher.lesson_id = lesson.id
           ORDER BY lesson_teacher.teacher_id
       ) AS teacher_ids,
       lesson.is_cancelled, coalesce(special_day.kind = 'holiday', false) AS is_on_holiday
FROM lesson
JOIN school_class ON school_class.school_id = lesson.school_id AND school_class.id = lesson.class_id
"""
    + DAY_OF_LESSON
    + """
WHERE lesson.school_id = %(school_id)s
AND lesson.day = %(day)s
ORDER BY lesson.starts_at, lesson.id
LIMIT %(limit)s
"""
)


async def lessons(reader: Reader, *, school_id: UUID, day: date) -> list[LessonOfDay]:
    """All lessons of a day, cancelled ones too."""
    return await reader.all(LessonOfDay, LESSONS, school_id=school_id, day=day, limit=MAX_LESSONS)


RAISE_VERSION = """
INSERT INTO day_plan AS told (school_id, day, version, digest)
VALUES (%(school_id)s, %(day)s, 1, %(digest)s)
ON CONFLICT (school_id, day) DO UPDATE
SET version = told.version + 1, digest = excluded.digest
WHERE told.digest <> excluded.digest
RETURNING version
"""


async def raise_version(tx: Tx, *, school_id: UUID, day: date, digest: bytes) -> int | None:
    """The version under which the day is to be told; None when it was told just so."""
    return await tx.value(int, RAISE_VERSION, school_id=school_id, day=day, digest=digest)


VERSION = """
SELECT version
FROM day_plan
WHERE school_id = %(school_id)s
AND day = %(day)s
"""


async def version(reader: Reader, *, school_id: UUID, day: date) -> int | None:
    """Of what was told of the day last; None when nothing was."""
    return await reader.value(int, VERSION, school_id=school_id, day=day)
