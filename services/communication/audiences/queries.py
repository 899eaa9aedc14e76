"""SQL that turns an audience into people: the same for a preview and for the sending."""

from datetime import date
from typing import LiteralString
from uuid import UUID

from services.communication.audiences.rules import columns
from services.communication.audiences.schemas import (
    Author,
    Id,
    NamedRecipient,
    Reach,
    RecipientKey,
    RoleCount,
)
from shared.database import Tx

# The members of classes on the day as `present`, of a teacher's own classes when the author is one.
PRESENT: LiteralString = """
taught AS (
    SELECT member.class_id
    FROM class_member AS member
    LEFT JOIN teacher ON teacher.school_id = member.school_id AND teacher.teacher_id = member.person_id
    WHERE member.school_id = %(school_id)s
    AND member.person_id = %(teacher_id)s::uuid
    AND member.role = 'teacher'
    AND member.starts_on <= %(day)s::date AND (member.ends_on IS NULL OR member.ends_on >= %(day)s::date)
    AND coalesce(teacher.is_active, true)
),
present AS (
    SELECT member.class_id, member.person_id, member.role
    FROM class_member AS member
    JOIN school_class ON school_class.school_id = member.school_id AND school_class.class_id = member.class_id
    WHERE member.school_id = %(school_id)s
    AND member.starts_on <= %(day)s::date AND (member.ends_on IS NULL OR member.ends_on >= %(day)s::date)
    AND school_class.is_active
    AND (%(teacher_id)s::uuid IS NULL OR member.class_id IN (SELECT taught.class_id FROM taught))
)
"""

# Whether a `recipient` of a frozen audience, or a `child` that a guardian has it for, is still of the classes of the
# author, should that be a teacher. The office reaches everybody. Both need PRESENT.
OF_AUTHORS_CLASSES: LiteralString = """
(%(teacher_id)s::uuid IS NULL OR recipient.role = 'guardian' OR (recipient.role, recipient.recipient_id) IN (
    SELECT present.role, present.person_id FROM present
))
"""
CHILD_OF_AUTHORS_CLASSES: LiteralString = """
(%(teacher_id)s::uuid IS NULL OR child.student_id IN (
    SELECT present.person_id FROM present WHERE present.role = 'student'
))
"""

# The people of an audience as `recipient`, each once. A scan of the school's people: it is done once for each sending.
#
# `pupil` are the students that the author can reach, each with whether any rule names them and whether any names their
# guardians. Who runs the school and teaches has a `login` for both: they may be `addressed` as both and are told once,
# as a teacher; to exclude one of the two is to exclude them.
AUDIENCE: LiteralString = (
    PRESENT
    + """,
absent AS (
    SELECT latest_attendance.student_id
    FROM latest_attendance
    WHERE latest_attendance.school_id = %(school_id)s
    AND latest_attendance.day = %(day)s::date
    AND latest_attendance.status IN ('absent', 'excused')
),
pupil AS (
    SELECT student.student_id,
           'student' = ANY(%(roles)s::text[])
           OR student.grade = ANY(%(student_grades)s::text[])
           OR student.student_id = ANY(%(person_ids)s::uuid[])
           OR student.student_id IN (
               SELECT present.person_id FROM present
               WHERE present.role = 'student' AND present.class_id = ANY(%(student_classes)s::uuid[])
           )
           OR (student.student_id IN (SELECT absent.student_id FROM absent) AND (
               %(absent_students)s::boolean OR student.student_id IN (
                   SELECT present.person_id FROM present
                   WHERE present.role = 'student' AND present.class_id = ANY(%(absent_student_classes)s::uuid[])
               )
           )) AS is_addressed,
           'guardian' = ANY(%(roles)s::text[])
           OR student.grade = ANY(%(guardian_grades)s::text[])
           OR student.student_id IN (
               SELECT present.person_id FROM present
               WHERE present.role = 'student' AND present.class_id = ANY(%(guardian_classes)s::uuid[])
           )
           OR (student.student_id IN (SELECT absent.student_id FROM absent) AND (
               %(absent_guardians)s::boolean OR student.student_id IN (
                   SELECT present.person_id FROM present
                   WHERE present.role = 'student' AND present.class_id = ANY(%(absent_guardian_classes)s::uuid[])
               )
           )) AS are_guardians_addressed
    FROM student
    WHERE student.school_id = %(school_id)s
    AND student.is_active
    AND NOT student.student_id = ANY(%(excluded_ids)s::uuid[])
    AND (%(teacher_id)s::uuid IS NULL OR student.student_id IN (
        SELECT present.person_id FROM present WHERE present.role = 'student'
    ))
),
login AS (
    SELECT membership.user_id, membership.person_id
    FROM membership
    WHERE membership.school_id = %(school_id)s
    AND membership.role = 'teacher'
    AND membership.is_active
),
addressed AS (
    SELECT pupil.student_id AS recipient_id, 'student' AS role, '{}'::uuid[] AS student_ids
    FROM pupil
    WHERE pupil.is_addressed
    UNION ALL
    SELECT guardian.guardian_id, 'guardian', array_agg(DISTINCT pupil.student_id ORDER BY pupil.student_id)
    FROM pupil
    JOIN guardian_link AS link ON link.school_id = %(school_id)s AND link.student_id = pupil.student_id
    JOIN guardian ON guardian.school_id = link.school_id AND guardian.guardian_id = link.guardian_id
    WHERE guardian.is_active
    AND link.is_active
    AND link.may_see
    AND (link.starts_on IS NULL OR link.starts_on <= %(day)s::date)
    AND (link.ends_on IS NULL OR link.ends_on >= %(day)s::date)
    AND (pupil.are_guardians_addressed OR link.guardian_id = ANY(%(person_ids)s::uuid[]))
    AND NOT link.guardian_id = ANY(%(excluded_ids)s::uuid[])
    GROUP BY guardian.guardian_id
    UNION ALL
    SELECT teacher.teacher_id, 'teacher', '{}'::uuid[]
    FROM teacher
    WHERE teacher.school_id = %(school_id)s
    AND teacher.is_active
    AND NOT teacher.teacher_id = ANY(%(excluded_ids)s::uuid[])
    AND NOT EXISTS (
        SELECT FROM login
        WHERE login.person_id = teacher.teacher_id AND login.user_id = ANY(%(excluded_ids)s::uuid[])
    )
    AND (
        'teacher' = ANY(%(roles)s::text[])
        OR teacher.teacher_id IN (
            SELECT present.person_id FROM present
            WHERE present.role = 'teacher' AND present.class_id = ANY(%(teacher_classes)s::uuid[])
        )
        OR (teacher.teacher_id = ANY(%(person_ids)s::uuid[]) AND (
            %(teacher_id)s::uuid IS NULL OR teacher.teacher_id IN (
                SELECT present.person_id FROM present WHERE present.role = 'teacher'
            )
        ))
    )
    UNION ALL
    SELECT DISTINCT membership.user_id, 'school_admin', '{}'::uuid[]
    FROM membership
    WHERE membership.school_id = %(school_id)s
    AND membership.role = 'school_admin'
    AND membership.is_active
    AND NOT membership.user_id = ANY(%(excluded_ids)s::uuid[])
    AND NOT EXISTS (
        SELECT FROM login
        WHERE login.user_id = membership.user_id AND login.person_id = ANY(%(excluded_ids)s::uuid[])
    )
    AND (
        'school_admin' = ANY(%(roles)s::text[])
        OR (membership.user_id = ANY(%(person_ids)s::uuid[]) AND %(teacher_id)s::uuid IS NULL)
    )
),
recipient AS (
    SELECT addressed.recipient_id, addressed.role, addressed.student_ids
    FROM addressed
    WHERE addressed.role <> 'school_admin'
    OR NOT EXISTS (
        SELECT FROM login
        JOIN addressed AS as_teacher ON as_teacher.recipient_id = login.person_id AND as_teacher.role = 'teacher'
        WHERE login.user_id = addressed.recipient_id
    )
)
"""
)


def parameters(author: Author, reach: Reach, *, exclude: list[UUID], day: date) -> dict[str, object]:
    """Those of AUDIENCE, besides the school."""
    return {**columns(reach), "excluded_ids": exclude, "teacher_id": author.teacher_id, "day": day}


COUNTS: LiteralString = (
    "WITH "
    + AUDIENCE
    + """
SELECT recipient.role, count(*) AS recipients
FROM recipient
GROUP BY recipient.role
ORDER BY recipient.role
LIMIT 4
"""
)


async def counts(
    tx: Tx, *, school_id: UUID, author: Author, reach: Reach, exclude: list[UUID], day: date
) -> list[RoleCount]:
    return await tx.all(RoleCount, COUNTS, school_id=school_id, **parameters(author, reach, exclude=exclude, day=day))


# Ends with the first who is found.
REACHES_SOMEBODY: LiteralString = (
    "WITH "
    + AUDIENCE
    + """
SELECT EXISTS (SELECT FROM recipient)
"""
)


async def reaches_somebody(
    tx: Tx, *, school_id: UUID, author: Author, reach: Reach, exclude: list[UUID], day: date
) -> bool:
    found = await tx.value(
        bool, REACHES_SOMEBODY, school_id=school_id, **parameters(author, reach, exclude=exclude, day=day)
    )
    return bool(found)


RECIPIENTS: LiteralString = (
    "WITH "
    + AUDIENCE
    + """
SELECT recipient.recipient_id, recipient.role, recipient.student_ids,
       coalesce(student.given_name, guardian.given_name, teacher.given_name, '') AS given_name,
       coalesce(student.family_name, guardian.family_name, teacher.family_name, '') AS family_name
FROM recipient
LEFT JOIN student ON student.school_id = %(school_id)s AND student.student_id = recipient.recipient_id
LEFT JOIN guardian ON guardian.school_id = %(school_id)s AND guardian.guardian_id = recipient.recipient_id
LEFT JOIN teacher ON teacher.school_id = %(school_id)s AND teacher.teacher_id = recipient.recipient_id
WHERE (
    recipient.role,
    coalesce(student.family_name, guardian.family_name, teacher.family_name, ''),
    coalesce(student.given_name, guardian.given_name, teacher.given_name, ''),
    recipient.recipient_id
) > (%(after_role)s::text, %(after_family_name)s::text, %(after_given_name)s::text, %(after_id)s::uuid)
ORDER BY recipient.role, family_name, given_name, recipient.recipient_id
LIMIT %(limit)s
"""
)


async def recipients(
    tx: Tx,
    *,
    school_id: UUID,
    author: Author,
    reach: Reach,
    exclude: list[UUID],
    day: date,
    after: RecipientKey,
    limit: int,
) -> list[NamedRecipient]:
    """By role and name."""
    return await tx.all(
        NamedRecipient,
        RECIPIENTS,
        school_id=school_id,
        **parameters(author, reach, exclude=exclude, day=day),
        after_role=after.role,
        after_family_name=after.family_name,
        after_given_name=after.given_name,
        after_id=after.recipient_id,
        limit=limit,
    )


REACHABLE: LiteralString = (
    "WITH "
    + AUDIENCE
    + """
SELECT addressed.recipient_id AS id
FROM addressed
ORDER BY addressed.recipient_id
LIMIT 1000
"""
)


async def reachable(tx: Tx, *, school_id: UUID, author: Author, reach: Reach, day: date) -> frozenset[UUID]:
    """Who of a few named persons can be written to by this author."""
    found = await tx.all(Id, REACHABLE, school_id=school_id, **parameters(author, reach, exclude=[], day=day))
    return frozenset(each.id for each in found)


KNOWN_CLASSES = """
SELECT school_class.class_id AS id
FROM school_class
WHERE school_class.school_id = %(school_id)s
AND school_class.class_id = ANY(%(class_ids)s::uuid[])
AND school_class.is_active
ORDER BY school_class.class_id
LIMIT 1000
"""

# Uses class_member_person.
TAUGHT_CLASSES = """
SELECT DISTINCT school_class.class_id AS id
FROM class_member AS member
JOIN school_class ON school_class.school_id = member.school_id AND school_class.class_id = member.class_id
LEFT JOIN teacher ON teacher.school_id = member.school_id AND teacher.teacher_id = member.person_id
WHERE member.school_id = %(school_id)s
AND member.person_id = %(teacher_id)s
AND member.role = 'teacher'
AND member.class_id = ANY(%(class_ids)s::uuid[])
AND member.starts_on <= %(day)s AND (member.ends_on IS NULL OR member.ends_on >= %(day)s)
AND school_class.is_active
AND coalesce(teacher.is_active, true)
ORDER BY school_class.class_id
LIMIT 1000
"""


async def classes_of(tx: Tx, *, school_id: UUID, author: Author, class_ids: list[UUID], day: date) -> frozenset[UUID]:
    """Those of `class_ids` that the author may write to."""
    if author.teacher_id is None:
        found = await tx.all(Id, KNOWN_CLASSES, school_id=school_id, class_ids=class_ids)
    else:
        found = await tx.all(
            Id, TAUGHT_CLASSES, school_id=school_id, teacher_id=author.teacher_id, class_ids=class_ids, day=day
        )
    return frozenset(each.id for each in found)
