"""SQL over enrolments: who is in a class from when to when."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from services.academic.classes.queries import Touched
from services.academic.enrolments.schemas import Enrolment, ImportedEnrolment, NewEnrolment
from shared.database import Reader, Tx
from shared.ids import new_id

ENROLMENTS = """
SELECT enrolment.id, enrolment.class_id, enrolment.role, coalesce(student.id, teacher.id) AS person_id,
       coalesce(student.given_name, teacher.given_name) AS given_name,
       coalesce(student.family_name, teacher.family_name) AS family_name,
       enrolment.is_primary, enrolment.starts_on, enrolment.ends_on
FROM enrolment
LEFT JOIN student ON student.school_id = enrolment.school_id AND student.id = enrolment.student_id
LEFT JOIN teacher ON teacher.school_id = enrolment.school_id AND teacher.id = enrolment.teacher_id
WHERE enrolment.school_id = %(school_id)s
AND enrolment.class_id = %(class_id)s
AND enrolment.id > %(after_id)s
AND (%(enrolment_id)s::uuid IS NULL OR enrolment.id = %(enrolment_id)s)
ORDER BY enrolment.id
LIMIT %(limit)s
"""


async def enrolments(
    reader: Reader,
    *,
    school_id: UUID,
    class_id: UUID,
    enrolment_id: UUID | None = None,
    after_id: UUID = UUID(int=0),
    limit: int = 1,
) -> list[Enrolment]:
    return await reader.all(
        Enrolment,
        ENROLMENTS,
        school_id=school_id,
        class_id=class_id,
        enrolment_id=enrolment_id,
        after_id=after_id,
        limit=limit,
    )


ADD_ENROLMENT = """
INSERT INTO enrolment (school_id, id, class_id, role, student_id, teacher_id, is_primary, starts_on, ends_on)
VALUES (
    %(school_id)s, %(id)s, %(class_id)s, %(role)s, %(student_id)s, %(teacher_id)s, %(is_primary)s, %(starts_on)s,
    %(ends_on)s
)
"""


async def add_enrolment(tx: Tx, *, school_id: UUID, enrolment_id: UUID, new: NewEnrolment) -> None:
    """Raises ForeignKeyViolation for an unknown class or person, ExclusionViolation when spells overlap."""
    await tx.execute(
        ADD_ENROLMENT,
        school_id=school_id,
        id=enrolment_id,
        class_id=new.class_id,
        role=new.role,
        student_id=new.person_id if new.role == "student" else None,
        teacher_id=new.person_id if new.role == "teacher" else None,
        is_primary=new.is_primary,
        starts_on=new.starts_on,
        ends_on=new.ends_on,
    )


class Spell(msgspec.Struct, frozen=True, kw_only=True):
    class_id: UUID
    starts_on: date


ENROLMENT = """
SELECT class_id, starts_on
FROM enrolment
WHERE school_id = %(school_id)s
AND id = %(enrolment_id)s
"""

END_ENROLMENT = """
UPDATE enrolment
SET ends_on = %(ends_on)s
WHERE school_id = %(school_id)s
AND id = %(enrolment_id)s
"""


async def enrolment(reader: Reader, *, school_id: UUID, enrolment_id: UUID) -> Spell | None:
    return await reader.one(Spell, ENROLMENT, school_id=school_id, enrolment_id=enrolment_id)


async def end_enrolment(tx: Tx, *, school_id: UUID, enrolment_id: UUID, ends_on: date) -> None:
    """Raises ExclusionViolation when a later end would run into the person's next spell."""
    await tx.execute(END_ENROLMENT, school_id=school_id, enrolment_id=enrolment_id, ends_on=ends_on)


# What an import writes comes back as it is now, so the classes that enrolments move out of are asked for before.
CLASSES_LEFT = """
SELECT DISTINCT enrolment.class_id AS id
FROM unnest(%(sourced_ids)s::text[], %(class_sourced_ids)s::text[]) AS imported (sourced_id, class_sourced_id)
JOIN enrolment ON enrolment.school_id = %(school_id)s AND enrolment.sourced_id = imported.sourced_id
JOIN school_class ON school_class.school_id = enrolment.school_id AND school_class.id = enrolment.class_id
WHERE school_class.sourced_id IS DISTINCT FROM imported.class_sourced_id
ORDER BY enrolment.class_id
LIMIT 20000
"""

IMPORT_ENROLMENTS = """
INSERT INTO enrolment (
    school_id, id, sourced_id, class_id, role, student_id, teacher_id, is_primary, starts_on, ends_on
)
SELECT %(school_id)s, imported.id, imported.sourced_id, school_class.id, imported.role, student.id, teacher.id,
       imported.is_primary, imported.starts_on, imported.ends_on
FROM unnest(
    %(ids)s::uuid[], %(sourced_ids)s::text[], %(class_sourced_ids)s::text[], %(person_sourced_ids)s::text[],
    %(roles)s::text[], %(primaries)s::boolean[], %(starts)s::date[], %(ends)s::date[]
) AS imported (id, sourced_id, class_sourced_id, person_sourced_id, role, is_primary, starts_on, ends_on)
JOIN school_class
    ON school_class.school_id = %(school_id)s AND school_class.sourced_id = imported.class_sourced_id
LEFT JOIN student
    ON student.school_id = %(school_id)s AND student.sourced_id = imported.person_sourced_id
    AND imported.role = 'student'
LEFT JOIN teacher
    ON teacher.school_id = %(school_id)s AND teacher.sourced_id = imported.person_sourced_id
    AND imported.role = 'teacher'
ON CONFLICT (school_id, sourced_id) DO UPDATE
SET class_id = excluded.class_id, role = excluded.role, student_id = excluded.student_id,
    teacher_id = excluded.teacher_id, is_primary = excluded.is_primary, starts_on = excluded.starts_on,
    ends_on = excluded.ends_on
WHERE (enrolment.class_id, enrolment.role, enrolment.student_id, enrolment.teacher_id, enrolment.is_primary,
       enrolment.starts_on, enrolment.ends_on)
    IS DISTINCT FROM (excluded.class_id, excluded.role, excluded.student_id, excluded.teacher_id,
                      excluded.is_primary, excluded.starts_on, excluded.ends_on)
RETURNING class_id AS id
"""

# Who is no longer in the file left yesterday; a spell that has not begun by then never was.
ENROLMENTS_END = """
UPDATE enrolment
SET ends_on = %(day)s::date - 1
WHERE school_id = %(school_id)s
AND sourced_id = ANY(%(sourced_ids)s)
AND starts_on < %(day)s
AND (ends_on IS NULL OR ends_on >= %(day)s)
RETURNING class_id AS id
"""

ENROLMENTS_WITHDRAWN = """
DELETE FROM enrolment
WHERE school_id = %(school_id)s
AND sourced_id = ANY(%(sourced_ids)s)
AND starts_on >= %(day)s
RETURNING class_id AS id
"""


# The same of people who left the school, whoever enrolled them. Uses enrolment_student and enrolment_teacher.
PEOPLE_LEAVE = """
WITH ended AS (
    UPDATE enrolment
    SET ends_on = %(day)s::date - 1
    WHERE school_id = %(school_id)s
    AND (student_id = ANY(%(person_ids)s) OR teacher_id = ANY(%(person_ids)s))
    AND starts_on < %(day)s
    AND (ends_on IS NULL OR ends_on >= %(day)s)
    RETURNING class_id
),
withdrawn AS (
    DELETE FROM enrolment
    WHERE school_id = %(school_id)s
    AND (student_id = ANY(%(person_ids)s) OR teacher_id = ANY(%(person_ids)s))
    AND starts_on >= %(day)s
    RETURNING class_id
)
SELECT class_id AS id FROM ended
UNION
SELECT class_id FROM withdrawn
"""


async def people_leave(tx: Tx, *, school_id: UUID, person_ids: Sequence[UUID], day: date) -> set[UUID]:
    """End what these people are enrolled in; the ids of the classes whose members changed."""
    rows = await tx.all(Touched, PEOPLE_LEAVE, school_id=school_id, person_ids=list(person_ids), day=day)
    return {row.id for row in rows}


async def import_enrolments(
    tx: Tx, *, school_id: UUID, enrolments: Sequence[ImportedEnrolment], gone: Sequence[str], day: date
) -> set[UUID]:
    """Add, change and end enrolments by their `sourced_id`; the ids of the classes whose members changed, also
    of those that an enrolment moved out of.

    Those that end go first, so that a new spell may begin where an old one stops.
    """
    ended = await tx.all(Touched, ENROLMENTS_END, school_id=school_id, sourced_ids=list(gone), day=day)
    withdrawn = await tx.all(Touched, ENROLMENTS_WITHDRAWN, school_id=school_id, sourced_ids=list(gone), day=day)
    sourced_ids = [each.sourced_id for each in enrolments]
    class_sourced_ids = [each.class_sourced_id for each in enrolments]
    left = await tx.all(
        Touched, CLASSES_LEFT, school_id=school_id, sourced_ids=sourced_ids, class_sourced_ids=class_sourced_ids
    )
    changed = await tx.all(
        Touched,
        IMPORT_ENROLMENTS,
        school_id=school_id,
        ids=[new_id() for _ in enrolments],
        sourced_ids=sourced_ids,
        class_sourced_ids=class_sourced_ids,
        person_sourced_ids=[each.person_sourced_id for each in enrolments],
        roles=[each.role for each in enrolments],
        primaries=[each.is_primary for each in enrolments],
        starts=[each.starts_on for each in enrolments],
        ends=[each.ends_on for each in enrolments],
    )
    return {row.id for row in (*ended, *withdrawn, *left, *changed)}


PRESENT_ENROLMENTS = """
SELECT enrolment.sourced_id, school_class.sourced_id AS class_sourced_id,
       coalesce(student.sourced_id, teacher.sourced_id) AS person_sourced_id, enrolment.role, enrolment.is_primary,
       enrolment.starts_on, enrolment.ends_on
FROM enrolment
JOIN school_class ON school_class.school_id = enrolment.school_id AND school_class.id = enrolment.class_id
LEFT JOIN student ON student.school_id = enrolment.school_id AND student.id = enrolment.student_id
LEFT JOIN teacher ON teacher.school_id = enrolment.school_id AND teacher.id = enrolment.teacher_id
WHERE enrolment.school_id = %(school_id)s
AND enrolment.sourced_id IS NOT NULL
ORDER BY enrolment.sourced_id
LIMIT 500000
"""


async def present_enrolments(reader: Reader, *, school_id: UUID) -> list[ImportedEnrolment]:
    """Enrolments that came out of another system, the ended ones too."""
    return await reader.all(ImportedEnrolment, PRESENT_ENROLMENTS, school_id=school_id)
