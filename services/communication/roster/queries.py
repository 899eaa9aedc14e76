"""Read models: each row holds the highest version seen, so repeats and stale events change nothing."""

from collections.abc import Sequence
from datetime import date
from typing import LiteralString
from uuid import UUID

from shared.contracts.academic import (
    AttendanceDayChanged,
    ClassChanged,
    ClassMember,
    GuardianChanged,
    GuardianLinkChanged,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.auth import MembershipChanged
from shared.contracts.school import SchoolChanged
from shared.database import Reader, Tx

SAVE_SCHOOL = """
INSERT INTO school (school_id, name, time_zone, version)
VALUES (%(school_id)s, %(name)s, %(time_zone)s, %(version)s)
ON CONFLICT (school_id) DO UPDATE
SET name = excluded.name, time_zone = excluded.time_zone, version = excluded.version
WHERE excluded.version > school.version
"""


async def save_school(tx: Tx, *, school_id: UUID, event: SchoolChanged, version: int) -> bool:
    """Whether that was news."""
    saved = await tx.execute(
        SAVE_SCHOOL, school_id=school_id, name=event.name, time_zone=event.time_zone, version=version
    )
    return saved == 1


# What was taken in before there was a grade is taken in again when it is told again, with the same version.
SAVE_STUDENT = """
INSERT INTO student (school_id, student_id, given_name, family_name, grade, is_active, version)
VALUES (%(school_id)s, %(student_id)s, %(given_name)s, %(family_name)s, %(grade)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, student_id) DO UPDATE
SET given_name = excluded.given_name, family_name = excluded.family_name, grade = excluded.grade,
    is_active = excluded.is_active, version = excluded.version
WHERE excluded.version > student.version
OR (excluded.version = student.version AND student.grade IS NULL)
"""


async def save_student(tx: Tx, *, school_id: UUID, event: StudentChanged, version: int) -> None:
    await tx.execute(
        SAVE_STUDENT,
        school_id=school_id,
        student_id=event.student_id,
        given_name=event.given_name,
        family_name=event.family_name,
        grade=event.grade,
        is_active=event.is_active,
        version=version,
    )


SAVE_TEACHER = """
INSERT INTO teacher (school_id, teacher_id, given_name, family_name, is_active, version)
VALUES (%(school_id)s, %(teacher_id)s, %(given_name)s, %(family_name)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, teacher_id) DO UPDATE
SET given_name = excluded.given_name, family_name = excluded.family_name, is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > teacher.version
"""


async def save_teacher(tx: Tx, *, school_id: UUID, event: TeacherChanged, version: int) -> None:
    await tx.execute(
        SAVE_TEACHER,
        school_id=school_id,
        teacher_id=event.teacher_id,
        given_name=event.given_name,
        family_name=event.family_name,
        is_active=event.is_active,
        version=version,
    )


SAVE_GUARDIAN = """
INSERT INTO guardian (school_id, guardian_id, given_name, family_name, email, is_active, version)
VALUES (%(school_id)s, %(guardian_id)s, %(given_name)s, %(family_name)s, %(email)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, guardian_id) DO UPDATE
SET given_name = excluded.given_name, family_name = excluded.family_name, email = excluded.email,
    is_active = excluded.is_active, version = excluded.version
WHERE excluded.version > guardian.version
"""


async def save_guardian(tx: Tx, *, school_id: UUID, event: GuardianChanged, version: int) -> None:
    await tx.execute(
        SAVE_GUARDIAN,
        school_id=school_id,
        guardian_id=event.guardian_id,
        given_name=event.given_name,
        family_name=event.family_name,
        email=event.email or None,
        is_active=event.is_active,
        version=version,
    )


# As with students: a link of which it is not known whether it lets see is taken in again.
SAVE_GUARDIAN_LINK = """
INSERT INTO guardian_link (
    school_id, guardian_link_id, guardian_id, student_id, relation, may_see, priority, starts_on, ends_on, is_active,
    version
)
VALUES (
    %(school_id)s, %(guardian_link_id)s, %(guardian_id)s, %(student_id)s, %(relation)s, %(may_see)s, %(priority)s,
    %(starts_on)s, %(ends_on)s, %(is_active)s, %(version)s
)
ON CONFLICT (school_id, guardian_link_id) DO UPDATE
SET guardian_id = excluded.guardian_id, student_id = excluded.student_id, relation = excluded.relation,
    may_see = excluded.may_see, priority = excluded.priority, starts_on = excluded.starts_on,
    ends_on = excluded.ends_on, is_active = excluded.is_active, version = excluded.version
WHERE excluded.version > guardian_link.version
OR (excluded.version = guardian_link.version AND guardian_link.may_see IS NULL)
"""


async def save_guardian_link(tx: Tx, *, school_id: UUID, event: GuardianLinkChanged, version: int) -> None:
    await tx.execute(
        SAVE_GUARDIAN_LINK,
        school_id=school_id,
        guardian_link_id=event.guardian_link_id,
        guardian_id=event.guardian_id,
        student_id=event.student_id,
        relation=event.relation,
        may_see=event.may_see,
        priority=event.priority,
        starts_on=event.starts_on,
        ends_on=event.ends_on,
        is_active=event.is_active,
        version=version,
    )


SAVE_CLASS = """
INSERT INTO school_class (school_id, class_id, title, is_active, version)
VALUES (%(school_id)s, %(class_id)s, %(title)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, class_id) DO UPDATE
SET title = excluded.title, is_active = excluded.is_active, version = excluded.version
WHERE excluded.version > school_class.version
"""


async def save_class(tx: Tx, *, school_id: UUID, event: ClassChanged, version: int) -> bool:
    """Whether the class is news. Locks its row, so that its members are replaced one state at a time."""
    saved = await tx.execute(
        SAVE_CLASS,
        school_id=school_id,
        class_id=event.class_id,
        title=event.title,
        is_active=event.is_active,
        version=version,
    )
    return saved == 1


FORGET_MEMBERS = """
DELETE FROM class_member
WHERE school_id = %(school_id)s
AND class_id = %(class_id)s
"""


async def forget_members(tx: Tx, *, school_id: UUID, class_id: UUID) -> None:
    await tx.execute(FORGET_MEMBERS, school_id=school_id, class_id=class_id)


ADD_MEMBERS = """
INSERT INTO class_member (school_id, class_id, person_id, role, starts_on, ends_on)
SELECT %(school_id)s, %(class_id)s, person_id, role, starts_on, ends_on
FROM unnest(%(person_ids)s::uuid[], %(roles)s::text[], %(starts_on)s::date[], %(ends_on)s::date[])
    AS member (person_id, role, starts_on, ends_on)
"""


async def add_members(tx: Tx, *, school_id: UUID, class_id: UUID, members: Sequence[ClassMember]) -> None:
    await tx.execute(
        ADD_MEMBERS,
        school_id=school_id,
        class_id=class_id,
        person_ids=[member.person_id for member in members],
        roles=[member.role for member in members],
        starts_on=[member.starts_on for member in members],
        ends_on=[member.ends_on for member in members],
    )


SAVE_MEMBERSHIP = """
INSERT INTO membership (school_id, membership_id, user_id, role, person_id, is_active, version)
VALUES (%(school_id)s, %(membership_id)s, %(user_id)s, %(role)s, %(person_id)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, membership_id) DO UPDATE
SET user_id = excluded.user_id, role = excluded.role, person_id = excluded.person_id, is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > membership.version
"""


async def save_membership(tx: Tx, *, school_id: UUID, event: MembershipChanged, version: int) -> None:
    await tx.execute(
        SAVE_MEMBERSHIP,
        school_id=school_id,
        membership_id=event.membership_id,
        user_id=event.user_id,
        role=event.role,
        person_id=event.person_id,
        is_active=event.is_active,
        version=version,
    )


# One row for each student: a later day replaces an earlier one, and of one day the higher version wins.
SAVE_ATTENDANCE = """
INSERT INTO latest_attendance (school_id, student_id, day, status, version)
VALUES (%(school_id)s, %(student_id)s, %(day)s, %(status)s, %(version)s)
ON CONFLICT (school_id, student_id) DO UPDATE
SET day = excluded.day, status = excluded.status, version = excluded.version
WHERE (excluded.day, excluded.version) > (latest_attendance.day, latest_attendance.version)
"""


async def save_attendance(tx: Tx, *, school_id: UUID, event: AttendanceDayChanged, version: int) -> None:
    await tx.execute(
        SAVE_ATTENDANCE,
        school_id=school_id,
        student_id=event.student_id,
        day=event.day,
        status=event.status,
        version=version,
    )


TIME_ZONE: LiteralString = """
SELECT time_zone
FROM school
WHERE school_id = %(school_id)s
"""


async def time_zone_of(reader: Reader, *, school_id: UUID) -> str:
    """The school's IANA zone; UTC for the moment until the event that tells of it."""
    return await reader.value(str, TIME_ZONE, school_id=school_id) or "UTC"


TIME_ZONE_TO_CHANGE: LiteralString = TIME_ZONE + "FOR UPDATE"


async def time_zone_to_change(tx: Tx, *, school_id: UUID) -> str:
    """As `time_zone_of`, by whoever may save another one: the next to do so waits."""
    return await tx.value(str, TIME_ZONE_TO_CHANGE, school_id=school_id) or "UTC"


HELD_TIME_ZONE: LiteralString = TIME_ZONE + "FOR SHARE"


async def held_time_zone_of(tx: Tx, *, school_id: UUID) -> str:
    """As `time_zone_of`, and of a known school it stays so until the transaction ends."""
    return await tx.value(str, HELD_TIME_ZONE, school_id=school_id) or "UTC"


CLASS_EXISTS = """
SELECT EXISTS (SELECT FROM school_class WHERE school_id = %(school_id)s AND class_id = %(class_id)s AND is_active)
"""


async def class_exists(reader: Reader, *, school_id: UUID, class_id: UUID) -> bool:
    return bool(await reader.value(bool, CLASS_EXISTS, school_id=school_id, class_id=class_id))


# A teacher who is known to have left teaches nothing; one who is not known yet is taken at the class's word.
TEACHES_CLASS = """
SELECT EXISTS (
    SELECT FROM class_member AS member
    JOIN school_class ON school_class.school_id = member.school_id AND school_class.class_id = member.class_id
    LEFT JOIN teacher ON teacher.school_id = member.school_id AND teacher.teacher_id = member.person_id
    WHERE member.school_id = %(school_id)s
    AND member.class_id = %(class_id)s
    AND member.person_id = %(teacher_id)s
    AND member.role = 'teacher'
    AND member.starts_on <= %(day)s AND (member.ends_on IS NULL OR member.ends_on >= %(day)s)
    AND school_class.is_active
    AND coalesce(teacher.is_active, true)
)
"""


async def teaches_class(reader: Reader, *, school_id: UUID, teacher_id: UUID, class_id: UUID, day: date) -> bool:
    found = await reader.value(
        bool, TEACHES_CLASS, school_id=school_id, teacher_id=teacher_id, class_id=class_id, day=day
    )
    return bool(found)
