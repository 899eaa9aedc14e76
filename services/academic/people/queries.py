"""SQL over students and teachers, and over who stands in which relation to a student."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, LiteralString
from uuid import UUID

import msgspec

from services.academic.people.schemas import GradeCount, ImportedPerson, SavedPerson, Student, Teacher
from shared.database import Reader, Tx
from shared.ids import new_id

STUDENT = """
SELECT id, sourced_id, given_name, family_name, preferred_name, email, grade, birth_date, is_active, version
FROM student
WHERE school_id = %(school_id)s
AND id = %(student_id)s
"""


async def student(reader: Reader, *, school_id: UUID, student_id: UUID) -> Student | None:
    return await reader.one(Student, STUDENT, school_id=school_id, student_id=student_id)


STUDENT_EXISTS = """
SELECT EXISTS (SELECT 1 FROM student WHERE school_id = %(school_id)s AND id = %(student_id)s)
"""


async def student_exists(reader: Reader, *, school_id: UUID, student_id: UUID) -> bool:
    return bool(await reader.value(bool, STUDENT_EXISTS, school_id=school_id, student_id=student_id))


# Uses student_active.
GRADES = """
SELECT grade, count(*) AS students
FROM student
WHERE school_id = %(school_id)s
AND is_active
AND grade IS NOT NULL
GROUP BY grade
"""


async def grades(reader: Reader, *, school_id: UUID) -> list[GradeCount]:
    """In no order."""
    return await reader.all(GradeCount, GRADES, school_id=school_id)


# Uses student_active, or what a narrowing below begins from. A narrowing that is not asked for is not in the statement:
# "null lets all pass" would make the planner look at every student of the school.
STUDENTS: LiteralString = """
SELECT id, sourced_id, given_name, family_name, preferred_name, email, grade, birth_date, is_active, version
FROM student
WHERE school_id = %(school_id)s
AND is_active
AND (family_name, given_name, id) > (%(family_name)s, %(given_name)s, %(after_id)s)
"""
IN_ORDER: LiteralString = """
ORDER BY family_name, given_name, id
LIMIT %(limit)s
"""
NARROWED_BY: Final[Mapping[str, LiteralString]] = {
    # starts_with is leakproof: row-level security lets it use an index.
    "name": "AND (starts_with(family_name, %(name)s) OR starts_with(given_name, %(name)s))",
    "grade": "AND grade = %(grade)s",
    "student_id": "AND id = %(student_id)s",
    "teacher_id": """
AND id IN (
    SELECT taught.student_id
    FROM enrolment AS taught
    JOIN enrolment AS teaching ON teaching.school_id = taught.school_id AND teaching.class_id = taught.class_id
    WHERE taught.school_id = %(school_id)s
    AND teaching.teacher_id = %(teacher_id)s
    AND taught.starts_on <= %(day)s AND (taught.ends_on IS NULL OR taught.ends_on >= %(day)s)
    AND teaching.starts_on <= %(day)s AND (teaching.ends_on IS NULL OR teaching.ends_on >= %(day)s)
)
""",
    "guardian_id": """
AND id IN (
    SELECT guardian_link.student_id
    FROM guardian_link
    WHERE guardian_link.school_id = %(school_id)s
    AND guardian_link.guardian_id = %(guardian_id)s
    AND guardian_link.is_active AND guardian_link.may_see
    AND (guardian_link.starts_on IS NULL OR guardian_link.starts_on <= %(day)s)
    AND (guardian_link.ends_on IS NULL OR guardian_link.ends_on >= %(day)s)
)
""",
    "class_id": """
AND id IN (
    SELECT enrolment.student_id
    FROM enrolment
    WHERE enrolment.school_id = %(school_id)s
    AND enrolment.class_id = %(class_id)s
    AND enrolment.starts_on <= %(day)s AND (enrolment.ends_on IS NULL OR enrolment.ends_on >= %(day)s)
)
""",
}


class StudentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Whose students, and which of them; what is None does not narrow."""

    day: date
    teacher_id: UUID | None = None
    guardian_id: UUID | None = None
    student_id: UUID | None = None
    class_id: UUID | None = None
    name: str | None = None
    grade: str | None = None


async def students(
    reader: Reader, *, school_id: UUID, only: StudentFilter, after: tuple[str, str, UUID], limit: int
) -> list[Student]:
    family_name, given_name, after_id = after
    asked = msgspec.structs.asdict(only)
    narrowed: list[LiteralString] = [narrowing for name, narrowing in NARROWED_BY.items() if asked[name] is not None]
    return await reader.all(
        Student,
        "\n".join((STUDENTS, *narrowed, IN_ORDER)),
        school_id=school_id,
        family_name=family_name,
        given_name=given_name,
        after_id=after_id,
        limit=limit,
        **asked,
    )


TEACHERS = """
SELECT id, sourced_id, given_name, family_name, email, is_active, version
FROM teacher
WHERE school_id = %(school_id)s
AND is_active
AND (family_name, given_name, id) > (%(family_name)s, %(given_name)s, %(after_id)s)
ORDER BY family_name, given_name, id
LIMIT %(limit)s
"""


async def teachers(reader: Reader, *, school_id: UUID, after: tuple[str, str, UUID], limit: int) -> list[Teacher]:
    family_name, given_name, after_id = after
    return await reader.all(
        Teacher,
        TEACHERS,
        school_id=school_id,
        family_name=family_name,
        given_name=given_name,
        after_id=after_id,
        limit=limit,
    )


TEACHES_CLASS = """
SELECT EXISTS (
    SELECT 1
    FROM enrolment
    WHERE school_id = %(school_id)s
    AND teacher_id = %(teacher_id)s
    AND class_id = %(class_id)s
    AND starts_on <= %(day)s AND (ends_on IS NULL OR ends_on >= %(day)s)
)
"""


async def teaches_class(reader: Reader, *, school_id: UUID, teacher_id: UUID, class_id: UUID, day: date) -> bool:
    found = await reader.value(
        bool, TEACHES_CLASS, school_id=school_id, teacher_id=teacher_id, class_id=class_id, day=day
    )
    return bool(found)


TEACHES_STUDENT = """
SELECT EXISTS (
    SELECT 1
    FROM enrolment AS taught
    JOIN enrolment AS teaching ON teaching.school_id = taught.school_id AND teaching.class_id = taught.class_id
    WHERE taught.school_id = %(school_id)s
    AND taught.student_id = %(student_id)s
    AND teaching.teacher_id = %(teacher_id)s
    AND taught.starts_on <= %(day)s AND (taught.ends_on IS NULL OR taught.ends_on >= %(day)s)
    AND teaching.starts_on <= %(day)s AND (teaching.ends_on IS NULL OR teaching.ends_on >= %(day)s)
)
"""


async def teaches_student(reader: Reader, *, school_id: UUID, teacher_id: UUID, student_id: UUID, day: date) -> bool:
    found = await reader.value(
        bool, TEACHES_STUDENT, school_id=school_id, teacher_id=teacher_id, student_id=student_id, day=day
    )
    return bool(found)


IS_GUARDIAN_OF = """
SELECT EXISTS (
    SELECT 1
    FROM guardian_link
    WHERE school_id = %(school_id)s
    AND guardian_id = %(guardian_id)s
    AND student_id = %(student_id)s
    AND is_active AND may_see
    AND (starts_on IS NULL OR starts_on <= %(day)s)
    AND (ends_on IS NULL OR ends_on >= %(day)s)
)
"""


async def is_guardian_of(reader: Reader, *, school_id: UUID, guardian_id: UUID, student_id: UUID, day: date) -> bool:
    """Whether the guardian may see the child on that day."""
    found = await reader.value(
        bool, IS_GUARDIAN_OF, school_id=school_id, guardian_id=guardian_id, student_id=student_id, day=day
    )
    return bool(found)


ADD_STUDENT = """
INSERT INTO student (school_id, id, given_name, family_name, preferred_name, email, grade, birth_date)
VALUES (
    %(school_id)s, %(id)s, %(given_name)s, %(family_name)s, %(preferred_name)s, %(email)s, %(grade)s, %(birth_date)s
)
"""

SAVE_STUDENT = """
UPDATE student
SET given_name = %(given_name)s, family_name = %(family_name)s, preferred_name = %(preferred_name)s,
    email = %(email)s, grade = %(grade)s, birth_date = %(birth_date)s, is_active = %(is_active)s,
    version = version + 1
WHERE school_id = %(school_id)s
AND id = %(id)s
AND version = %(version)s
"""

ADD_TEACHER = """
INSERT INTO teacher (school_id, id, given_name, family_name, email)
VALUES (%(school_id)s, %(id)s, %(given_name)s, %(family_name)s, %(email)s)
"""


async def add_student(tx: Tx, *, school_id: UUID, student: Student) -> None:
    fields = msgspec.structs.asdict(student)
    await tx.execute(ADD_STUDENT, school_id=school_id, **fields)


async def save_student(tx: Tx, *, school_id: UUID, student: Student) -> bool:
    """Save over the version that `student` carries; False when it is no longer that."""
    return await tx.execute(SAVE_STUDENT, school_id=school_id, **msgspec.structs.asdict(student)) == 1


async def add_teacher(tx: Tx, *, school_id: UUID, teacher: Teacher) -> None:
    await tx.execute(ADD_TEACHER, school_id=school_id, **msgspec.structs.asdict(teacher))


IMPORT_STUDENTS = """
INSERT INTO student (school_id, id, sourced_id, given_name, family_name, email, grade)
SELECT %(school_id)s, id, sourced_id, given_name, family_name, email, grade
FROM unnest(
    %(ids)s::uuid[], %(sourced_ids)s::text[], %(given_names)s::text[], %(family_names)s::text[], %(emails)s::text[],
    %(grades)s::text[]
) AS imported (id, sourced_id, given_name, family_name, email, grade)
ON CONFLICT (school_id, sourced_id) DO UPDATE
SET given_name = excluded.given_name, family_name = excluded.family_name, email = excluded.email,
    grade = excluded.grade, is_active = true, version = student.version + 1
WHERE (student.given_name, student.family_name, student.email, student.grade, student.is_active)
    IS DISTINCT FROM (excluded.given_name, excluded.family_name, excluded.email, excluded.grade, true)
RETURNING id, sourced_id, given_name, family_name, email, grade, is_active, version
"""

IMPORT_TEACHERS = """
INSERT INTO teacher (school_id, id, sourced_id, given_name, family_name, email)
SELECT %(school_id)s, id, sourced_id, given_name, family_name, email
FROM unnest(
    %(ids)s::uuid[], %(sourced_ids)s::text[], %(given_names)s::text[], %(family_names)s::text[], %(emails)s::text[]
) AS imported (id, sourced_id, given_name, family_name, email)
ON CONFLICT (school_id, sourced_id) DO UPDATE
SET given_name = excluded.given_name, family_name = excluded.family_name, email = excluded.email,
    is_active = true, version = teacher.version + 1
WHERE (teacher.given_name, teacher.family_name, teacher.email, teacher.is_active)
    IS DISTINCT FROM (excluded.given_name, excluded.family_name, excluded.email, true)
RETURNING id, sourced_id, given_name, family_name, email, is_active, version
"""


async def import_students(tx: Tx, *, school_id: UUID, people: Sequence[ImportedPerson]) -> list[SavedPerson]:
    """Add or change students by their `sourced_id`; those that differ from before."""
    return await tx.all(
        SavedPerson,
        IMPORT_STUDENTS,
        school_id=school_id,
        **_columns(people),
        grades=[person.grade for person in people],
    )


async def import_teachers(tx: Tx, *, school_id: UUID, people: Sequence[ImportedPerson]) -> list[SavedPerson]:
    return await tx.all(SavedPerson, IMPORT_TEACHERS, school_id=school_id, **_columns(people))


def _columns(people: Sequence[ImportedPerson]) -> dict[str, list[object]]:
    return {
        "ids": [new_id() for _ in people],
        "sourced_ids": [person.sourced_id for person in people],
        "given_names": [person.given_name for person in people],
        "family_names": [person.family_name for person in people],
        "emails": [person.email for person in people],
    }


STUDENTS_LEAVE = """
UPDATE student
SET is_active = false, version = version + 1
WHERE school_id = %(school_id)s
AND sourced_id = ANY(%(sourced_ids)s)
AND is_active
RETURNING id, sourced_id, given_name, family_name, email, grade, is_active, version
"""

TEACHERS_LEAVE = """
UPDATE teacher
SET is_active = false, version = version + 1
WHERE school_id = %(school_id)s
AND sourced_id = ANY(%(sourced_ids)s)
AND is_active
RETURNING id, sourced_id, given_name, family_name, email, is_active, version
"""


async def students_leave(tx: Tx, *, school_id: UUID, sourced_ids: Sequence[str]) -> list[SavedPerson]:
    return await tx.all(SavedPerson, STUDENTS_LEAVE, school_id=school_id, sourced_ids=list(sourced_ids))


async def teachers_leave(tx: Tx, *, school_id: UUID, sourced_ids: Sequence[str]) -> list[SavedPerson]:
    return await tx.all(SavedPerson, TEACHERS_LEAVE, school_id=school_id, sourced_ids=list(sourced_ids))


class IdOfSourced(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    sourced_id: str


STUDENT_IDS = """
SELECT id, sourced_id
FROM student
WHERE school_id = %(school_id)s
AND sourced_id IS NOT NULL
ORDER BY id
LIMIT 100000
"""

TEACHER_IDS = """
SELECT id, sourced_id
FROM teacher
WHERE school_id = %(school_id)s
AND sourced_id IS NOT NULL
ORDER BY id
LIMIT 100000
"""


async def student_ids(reader: Reader, *, school_id: UUID) -> dict[str, UUID]:
    """The ids of students by the `sourced_id` that other systems know them by."""
    rows = await reader.all(IdOfSourced, STUDENT_IDS, school_id=school_id)
    return {row.sourced_id: row.id for row in rows}


async def teacher_ids(reader: Reader, *, school_id: UUID) -> dict[str, UUID]:
    rows = await reader.all(IdOfSourced, TEACHER_IDS, school_id=school_id)
    return {row.sourced_id: row.id for row in rows}


PRESENT_STUDENTS = """
SELECT sourced_id, given_name, family_name, email, grade
FROM student
WHERE school_id = %(school_id)s
AND sourced_id IS NOT NULL
AND is_active
ORDER BY sourced_id
LIMIT 100000
"""

PRESENT_TEACHERS = """
SELECT sourced_id, given_name, family_name, email
FROM teacher
WHERE school_id = %(school_id)s
AND sourced_id IS NOT NULL
AND is_active
ORDER BY sourced_id
LIMIT 100000
"""


async def present_students(reader: Reader, *, school_id: UUID) -> list[ImportedPerson]:
    """Active students that came out of another system, as it would record them."""
    return await reader.all(ImportedPerson, PRESENT_STUDENTS, school_id=school_id)


async def present_teachers(reader: Reader, *, school_id: UUID) -> list[ImportedPerson]:
    return await reader.all(ImportedPerson, PRESENT_TEACHERS, school_id=school_id)
