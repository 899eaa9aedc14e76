"""SQL over courses, classes, their terms and their members."""

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import msgspec

from services.academic.classes.schemas import (
    Course,
    ImportedClass,
    ImportedCourse,
    NewClass,
    SchoolClass,
)
from shared.contracts.academic import ClassMember
from shared.database import Reader, Tx
from shared.ids import new_id

COURSES = """
SELECT id, sourced_id, title, code
FROM course
WHERE school_id = %(school_id)s
AND (title, id) > (%(after_title)s, %(after_id)s)
ORDER BY title, id
LIMIT %(limit)s
"""


async def courses(reader: Reader, *, school_id: UUID, after: tuple[str, UUID], limit: int) -> list[Course]:
    title, after_id = after
    return await reader.all(Course, COURSES, school_id=school_id, after_title=title, after_id=after_id, limit=limit)


# A null teacher, student or class lets every class pass.
CLASSES = """
SELECT school_class.id, school_class.sourced_id, school_class.title, school_class.kind, school_class.course_id,
       school_class.periods, school_class.room,
       array(
           SELECT class_term.academic_session_id
           FROM class_term
           WHERE class_term.school_id = school_class.school_id
           AND class_term.class_id = school_class.id
           ORDER BY class_term.academic_session_id
       ) AS academic_session_ids, school_class.grades, school_class.is_active, school_class.version
FROM school_class
WHERE school_class.school_id = %(school_id)s
AND school_class.is_active
AND (school_class.title, school_class.id) > (%(after_title)s, %(after_id)s)
AND (%(class_id)s::uuid IS NULL OR school_class.id = %(class_id)s)
AND (%(teacher_id)s::uuid IS NULL OR EXISTS (
    SELECT 1
    FROM enrolment
    WHERE enrolment.school_id = school_class.school_id
    AND enrolment.class_id = school_class.id
    AND enrolment.teacher_id = %(teacher_id)s
    AND enrolment.starts_on <= %(day)s
    AND (enrolment.ends_on IS NULL OR enrolment.ends_on >= %(day)s)
))
ORDER BY school_class.title, school_class.id
LIMIT %(limit)s
"""


async def classes(
    reader: Reader,
    *,
    school_id: UUID,
    day: date,
    teacher_id: UUID | None = None,
    class_id: UUID | None = None,
    after: tuple[str, UUID] = ("", UUID(int=0)),
    limit: int = 1,
) -> list[SchoolClass]:
    title, after_id = after
    return await reader.all(
        SchoolClass,
        CLASSES,
        school_id=school_id,
        day=day,
        teacher_id=teacher_id,
        class_id=class_id,
        after_title=title,
        after_id=after_id,
        limit=limit,
    )


ADD_CLASS = """
INSERT INTO school_class (school_id, id, title, kind, course_id, periods, room, grades)
VALUES (%(school_id)s, %(id)s, %(title)s, %(kind)s, %(course_id)s, %(periods)s, %(room)s, %(grades)s)
"""

# Only terms that the school has: the number of rows tells the caller whether it knew them all.
ADD_TERMS = """
INSERT INTO class_term (school_id, class_id, academic_session_id)
SELECT academic_session.school_id, %(class_id)s, academic_session.id
FROM academic_session
WHERE academic_session.school_id = %(school_id)s
AND academic_session.id = ANY(%(academic_session_ids)s)
"""


async def add_class(tx: Tx, *, school_id: UUID, class_id: UUID, new: NewClass) -> int:
    """How many of the class's terms are known. Raises ForeignKeyViolation for an unknown course."""
    await tx.execute(
        ADD_CLASS,
        school_id=school_id,
        id=class_id,
        title=new.title,
        kind=new.kind,
        course_id=new.course_id,
        periods=new.periods,
        room=new.room,
        grades=sorted(set(new.grades)),
    )
    return await tx.execute(
        ADD_TERMS, school_id=school_id, class_id=class_id, academic_session_ids=new.academic_session_ids
    )


LOCK_CLASS = """
SELECT version, grades
FROM school_class
WHERE school_id = %(school_id)s
AND id = %(class_id)s
AND is_active
FOR NO KEY UPDATE
"""


class LockedClass(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    grades: list[str]


async def lock_class(tx: Tx, *, school_id: UUID, class_id: UUID) -> LockedClass | None:
    return await tx.one(LockedClass, LOCK_CLASS, school_id=school_id, class_id=class_id)


SAVE_GRADES = """
UPDATE school_class
SET grades = %(grades)s
WHERE school_id = %(school_id)s
AND id = %(class_id)s
"""


async def save_grades(tx: Tx, *, school_id: UUID, class_id: UUID, grades: Sequence[str]) -> None:
    await tx.execute(SAVE_GRADES, school_id=school_id, class_id=class_id, grades=list(grades))


RAISE_VERSIONS = """
UPDATE school_class
SET version = version + 1
WHERE school_id = %(school_id)s
AND id = ANY(%(class_ids)s)
RETURNING id, title, is_active, grades, version
"""


class ClassState(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    title: str
    is_active: bool
    grades: list[str]
    version: int


async def raise_versions(tx: Tx, *, school_id: UUID, class_ids: Iterable[UUID]) -> list[ClassState]:
    """Count a change of these classes, which also makes whoever changes one of them next wait for us."""
    return await tx.all(ClassState, RAISE_VERSIONS, school_id=school_id, class_ids=sorted(class_ids))


MEMBERS = """
SELECT class_id, role, coalesce(student_id, teacher_id) AS person_id, starts_on, ends_on
FROM enrolment
WHERE school_id = %(school_id)s
AND class_id = ANY(%(class_ids)s)
ORDER BY class_id, starts_on, id
LIMIT 200000
"""


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    class_id: UUID
    role: str
    person_id: UUID
    starts_on: date
    ends_on: date | None


async def members(reader: Reader, *, school_id: UUID, class_ids: Iterable[UUID]) -> dict[UUID, list[ClassMember]]:
    """Everyone who is, was or will be in these classes."""
    found: dict[UUID, list[ClassMember]] = {class_id: [] for class_id in class_ids}
    for row in await reader.all(MemberRow, MEMBERS, school_id=school_id, class_ids=list(found)):
        fields = msgspec.structs.asdict(row)
        found[fields.pop("class_id")].append(ClassMember(**fields))
    return found


IMPORT_COURSES = """
INSERT INTO course (school_id, id, sourced_id, title, code)
SELECT %(school_id)s, id, sourced_id, title, code
FROM unnest(%(ids)s::uuid[], %(sourced_ids)s::text[], %(titles)s::text[], %(codes)s::text[])
    AS imported (id, sourced_id, title, code)
ON CONFLICT (school_id, sourced_id) DO UPDATE
SET title = excluded.title, code = excluded.code
WHERE (course.title, course.code) IS DISTINCT FROM (excluded.title, excluded.code)
"""


async def import_courses(tx: Tx, *, school_id: UUID, courses: Sequence[ImportedCourse]) -> int:
    return await tx.execute(
        IMPORT_COURSES,
        school_id=school_id,
        ids=[new_id() for _ in courses],
        sourced_ids=[each.sourced_id for each in courses],
        titles=[each.title for each in courses],
        codes=[each.code for each in courses],
    )


# Grades of which the file says nothing stay as they are: many systems know none, and the school gave them by hand.
IMPORT_CLASSES = """
INSERT INTO school_class (school_id, id, sourced_id, title, kind, course_id, periods, room, grades)
SELECT %(school_id)s, imported.id, imported.sourced_id, imported.title, imported.kind, course.id,
       string_to_array(imported.periods, E'\\x1f'), imported.room, string_to_array(imported.grades, E'\\x1f')
FROM unnest(
    %(ids)s::uuid[], %(sourced_ids)s::text[], %(titles)s::text[], %(kinds)s::text[], %(course_sourced_ids)s::text[],
    %(periods)s::text[], %(rooms)s::text[], %(grades)s::text[]
) AS imported (id, sourced_id, title, kind, course_sourced_id, periods, room, grades)
LEFT JOIN course ON course.school_id = %(school_id)s AND course.sourced_id = imported.course_sourced_id
ON CONFLICT (school_id, sourced_id) DO UPDATE
SET title = excluded.title, kind = excluded.kind, course_id = excluded.course_id, periods = excluded.periods,
    room = excluded.room, is_active = true,
    grades = CASE WHEN excluded.grades = '{}' THEN school_class.grades ELSE excluded.grades END
WHERE (school_class.title, school_class.kind, school_class.course_id, school_class.periods, school_class.room,
       school_class.is_active)
    IS DISTINCT FROM (excluded.title, excluded.kind, excluded.course_id, excluded.periods, excluded.room, true)
OR excluded.grades NOT IN (school_class.grades, '{}')
RETURNING id
"""

# The terms of the imported classes become exactly those of the file; the classes whose terms changed come back.
IMPORT_TERMS = """
WITH wanted AS (
    SELECT school_class.id AS class_id, academic_session.id AS academic_session_id
    FROM unnest(%(class_sourced_ids)s::text[], %(term_sourced_ids)s::text[]) AS pair (class_sourced_id, term_sourced_id)
    JOIN school_class
        ON school_class.school_id = %(school_id)s AND school_class.sourced_id = pair.class_sourced_id
    JOIN academic_session
        ON academic_session.school_id = %(school_id)s AND academic_session.sourced_id = pair.term_sourced_id
), dropped AS (
    DELETE FROM class_term
    WHERE school_id = %(school_id)s
    AND class_id IN (SELECT class_id FROM wanted)
    AND (class_id, academic_session_id) NOT IN (SELECT class_id, academic_session_id FROM wanted)
    RETURNING class_id
), added AS (
    INSERT INTO class_term (school_id, class_id, academic_session_id)
    SELECT DISTINCT %(school_id)s::uuid, class_id, academic_session_id
    FROM wanted
    ON CONFLICT DO NOTHING
    RETURNING class_id
)
SELECT class_id AS id FROM dropped
UNION
SELECT class_id FROM added
"""

CLASSES_END = """
UPDATE school_class
SET is_active = false
WHERE school_id = %(school_id)s
AND sourced_id = ANY(%(sourced_ids)s)
AND is_active
RETURNING id
"""


class Touched(msgspec.Struct, frozen=True):
    """A class that an import changed, in itself or in its members."""

    id: UUID


async def import_classes(
    tx: Tx, *, school_id: UUID, classes: Sequence[ImportedClass], gone: Sequence[str]
) -> set[UUID]:
    """Add, change and end classes by their `sourced_id`; the ids of those that differ from before."""
    changed = await tx.all(
        Touched,
        IMPORT_CLASSES,
        school_id=school_id,
        ids=[new_id() for _ in classes],
        sourced_ids=[each.sourced_id for each in classes],
        titles=[each.title for each in classes],
        kinds=[each.kind for each in classes],
        course_sourced_ids=[each.course_sourced_id for each in classes],
        periods=["\x1f".join(each.periods) for each in classes],
        rooms=[each.room for each in classes],
        grades=["\x1f".join(each.grades) for each in classes],
    )
    pairs = [(each.sourced_id, term) for each in classes for term in each.term_sourced_ids]
    in_terms = await tx.all(
        Touched,
        IMPORT_TERMS,
        school_id=school_id,
        class_sourced_ids=[class_id for class_id, _ in pairs],
        term_sourced_ids=[term for _, term in pairs],
    )
    ended = await tx.all(Touched, CLASSES_END, school_id=school_id, sourced_ids=list(gone))
    return {row.id for rows in (changed, in_terms, ended) for row in rows}


PRESENT_COURSES = """
SELECT sourced_id, title, code
FROM course
WHERE school_id = %(school_id)s
AND sourced_id IS NOT NULL
ORDER BY sourced_id
LIMIT 20000
"""

PRESENT_CLASSES = """
SELECT school_class.sourced_id, school_class.title, school_class.kind, course.sourced_id AS course_sourced_id,
       school_class.periods, school_class.room,
       array(
           SELECT academic_session.sourced_id
           FROM class_term
           JOIN academic_session
               ON academic_session.school_id = class_term.school_id
               AND academic_session.id = class_term.academic_session_id
           WHERE class_term.school_id = school_class.school_id
           AND class_term.class_id = school_class.id
           AND academic_session.sourced_id IS NOT NULL
       ) AS term_sourced_ids, school_class.grades
FROM school_class
LEFT JOIN course ON course.school_id = school_class.school_id AND course.id = school_class.course_id
WHERE school_class.school_id = %(school_id)s
AND school_class.sourced_id IS NOT NULL
AND school_class.is_active
ORDER BY school_class.sourced_id
LIMIT 20000
"""


async def present_courses(reader: Reader, *, school_id: UUID) -> list[ImportedCourse]:
    """Courses that came out of another system, as it would record them."""
    return await reader.all(ImportedCourse, PRESENT_COURSES, school_id=school_id)


async def present_classes(reader: Reader, *, school_id: UUID) -> list[ImportedClass]:
    """Active classes that came out of another system; lists are sorted, so that they can be compared."""
    found = await reader.all(ImportedClass, PRESENT_CLASSES, school_id=school_id)
    return [
        msgspec.structs.replace(
            each,
            periods=tuple(sorted(each.periods)),
            term_sourced_ids=tuple(sorted(each.term_sourced_ids)),
            grades=tuple(sorted(each.grades)),
        )
        for each in found
    ]
