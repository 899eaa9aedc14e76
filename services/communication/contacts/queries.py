"""SQL over the students of a class and their guardians, on one day."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from services.communication.contacts.schemas import GuardianOfStudent, NameKey, StudentName
from shared.database import Reader

# Uses class_member_pkey and student_pkey.
STUDENTS_OF_CLASS = """
SELECT student.student_id, student.given_name, student.family_name
FROM student
WHERE student.school_id = %(school_id)s
AND student.is_active
AND student.student_id IN (
    SELECT member.person_id
    FROM class_member AS member
    WHERE member.school_id = %(school_id)s
    AND member.class_id = %(class_id)s
    AND member.role = 'student'
    AND member.starts_on <= %(day)s AND (member.ends_on IS NULL OR member.ends_on >= %(day)s)
)
AND (student.family_name, student.given_name, student.student_id) > (%(family_name)s, %(given_name)s, %(after_id)s)
ORDER BY student.family_name, student.given_name, student.student_id
LIMIT %(limit)s
"""


async def students_of_class(
    reader: Reader, *, school_id: UUID, class_id: UUID, day: date, after: NameKey, limit: int
) -> list[StudentName]:
    return await reader.all(
        StudentName,
        STUDENTS_OF_CLASS,
        school_id=school_id,
        class_id=class_id,
        day=day,
        family_name=after.family_name,
        given_name=after.given_name,
        after_id=after.student_id,
        limit=limit,
    )


# Uses guardian_link_student and guardian_pkey.
GUARDIANS_OF_STUDENTS = """
SELECT link.student_id, guardian.guardian_id, guardian.email, link.relation, link.priority,
       trim(concat_ws(' ', guardian.given_name, guardian.family_name)) AS name
FROM guardian_link AS link
JOIN guardian ON guardian.school_id = link.school_id AND guardian.guardian_id = link.guardian_id
WHERE link.school_id = %(school_id)s
AND link.student_id = ANY(%(student_ids)s::uuid[])
AND link.is_active
AND (link.starts_on IS NULL OR link.starts_on <= %(day)s)
AND (link.ends_on IS NULL OR link.ends_on >= %(day)s)
AND guardian.is_active
ORDER BY link.student_id, link.priority, guardian.family_name, guardian.given_name, link.guardian_link_id
LIMIT 20000
"""


async def guardians_of_students(
    reader: Reader, *, school_id: UUID, student_ids: Sequence[UUID], day: date
) -> list[GuardianOfStudent]:
    """Those with a link in force on that day."""
    return await reader.all(
        GuardianOfStudent, GUARDIANS_OF_STUDENTS, school_id=school_id, student_ids=list(student_ids), day=day
    )
