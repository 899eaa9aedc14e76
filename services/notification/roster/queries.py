"""Read models: each row holds the highest version seen, so repeats and stale events change nothing."""

from collections.abc import Sequence
from datetime import date
from typing import LiteralString
from uuid import UUID

from services.notification.roster.schemas import (
    UNKNOWN_SCHOOL,
    AlertRecipient,
    Contact,
    OfficeMember,
    School,
    StudentName,
)
from shared.contracts.academic import GuardianChanged, GuardianLinkChanged, StudentChanged, TeacherChanged
from shared.contracts.auth import MembershipChanged
from shared.contracts.school import SchoolChanged
from shared.database import Reader, Tx

SAVE_SCHOOL: LiteralString = """
INSERT INTO school (school_id, name, time_zone, grace_period_minutes, locale, version)
VALUES (%(school_id)s, %(name)s, %(time_zone)s, %(grace_period_minutes)s, %(locale)s, %(version)s)
ON CONFLICT (school_id) DO UPDATE
SET name = excluded.name,
    time_zone = excluded.time_zone,
    grace_period_minutes = excluded.grace_period_minutes,
    locale = excluded.locale,
    version = excluded.version
WHERE excluded.version > school.version
"""


async def save_school(tx: Tx, school_id: UUID, event: SchoolChanged, version: int) -> None:
    await tx.execute(
        SAVE_SCHOOL,
        school_id=school_id,
        name=event.name,
        time_zone=event.time_zone,
        grace_period_minutes=event.grace_period_minutes,
        locale=event.locale,
        version=version,
    )


SAVE_STUDENT: LiteralString = """
INSERT INTO student (school_id, student_id, given_name, email, is_active, version)
VALUES (%(school_id)s, %(student_id)s, %(given_name)s, %(email)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, student_id) DO UPDATE
SET given_name = excluded.given_name,
    email = excluded.email,
    is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > student.version
"""


async def save_student(tx: Tx, school_id: UUID, event: StudentChanged, version: int) -> None:
    await tx.execute(
        SAVE_STUDENT,
        school_id=school_id,
        student_id=event.student_id,
        given_name=event.given_name,
        email=event.email or None,
        is_active=event.is_active,
        version=version,
    )


SAVE_TEACHER: LiteralString = """
INSERT INTO teacher (school_id, teacher_id, given_name, family_name, email, is_active, version)
VALUES (%(school_id)s, %(teacher_id)s, %(given_name)s, %(family_name)s, %(email)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, teacher_id) DO UPDATE
SET given_name = excluded.given_name,
    family_name = excluded.family_name,
    email = excluded.email,
    is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > teacher.version
"""


async def save_teacher(tx: Tx, school_id: UUID, event: TeacherChanged, version: int) -> None:
    await tx.execute(
        SAVE_TEACHER,
        school_id=school_id,
        teacher_id=event.teacher_id,
        given_name=event.given_name,
        family_name=event.family_name,
        email=event.email or None,
        is_active=event.is_active,
        version=version,
    )


SAVE_GUARDIAN: LiteralString = """
INSERT INTO guardian (school_id, guardian_id, given_name, family_name, email, is_active, version)
VALUES (%(school_id)s, %(guardian_id)s, %(given_name)s, %(family_name)s, %(email)s, %(is_active)s, %(version)s)
ON CONFLICT (school_id, guardian_id) DO UPDATE
SET given_name = excluded.given_name,
    family_name = excluded.family_name,
    email = excluded.email,
    is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > guardian.version
"""


async def save_guardian(tx: Tx, school_id: UUID, event: GuardianChanged, version: int) -> None:
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


SAVE_GUARDIAN_LINK: LiteralString = """
INSERT INTO guardian_link (
    school_id, guardian_link_id, guardian_id, student_id, relation, may_see, receives_alerts, priority,
    starts_on, ends_on, is_active, version
)
VALUES (
    %(school_id)s, %(guardian_link_id)s, %(guardian_id)s, %(student_id)s, %(relation)s, %(may_see)s,
    %(receives_alerts)s, %(priority)s, %(starts_on)s, %(ends_on)s, %(is_active)s, %(version)s
)
ON CONFLICT (school_id, guardian_link_id) DO UPDATE
SET guardian_id = excluded.guardian_id,
    student_id = excluded.student_id,
    relation = excluded.relation,
    may_see = excluded.may_see,
    receives_alerts = excluded.receives_alerts,
    priority = excluded.priority,
    starts_on = excluded.starts_on,
    ends_on = excluded.ends_on,
    is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > guardian_link.version
"""


async def save_guardian_link(tx: Tx, school_id: UUID, event: GuardianLinkChanged, version: int) -> None:
    await tx.execute(
        SAVE_GUARDIAN_LINK,
        school_id=school_id,
        guardian_link_id=event.guardian_link_id,
        guardian_id=event.guardian_id,
        student_id=event.student_id,
        relation=event.relation,
        may_see=event.may_see,
        receives_alerts=event.receives_alerts,
        priority=event.priority,
        starts_on=event.starts_on,
        ends_on=event.ends_on,
        is_active=event.is_active,
        version=version,
    )


SAVE_MEMBERSHIP: LiteralString = """
INSERT INTO membership (school_id, membership_id, user_id, person_id, role, email, is_active, version)
VALUES (
    %(school_id)s, %(membership_id)s, %(user_id)s, %(person_id)s, %(role)s, %(email)s, %(is_active)s, %(version)s
)
ON CONFLICT (school_id, membership_id) DO UPDATE
SET user_id = excluded.user_id,
    person_id = excluded.person_id,
    role = excluded.role,
    email = excluded.email,
    is_active = excluded.is_active,
    version = excluded.version
WHERE excluded.version > membership.version
"""


async def save_membership(tx: Tx, school_id: UUID, event: MembershipChanged, version: int) -> None:
    await tx.execute(
        SAVE_MEMBERSHIP,
        school_id=school_id,
        membership_id=event.membership_id,
        user_id=event.user_id,
        person_id=event.person_id,
        role=event.role,
        email=event.email or None,
        is_active=event.is_active,
        version=version,
    )


SCHOOL: LiteralString = """
SELECT name, time_zone, grace_period_minutes, locale
FROM school
WHERE school_id = %(school_id)s
"""


async def school_settings(reader: Reader, school_id: UUID) -> School:
    return await reader.one(School, SCHOOL, school_id=school_id) or UNKNOWN_SCHOOL


STUDENT_NAMES: LiteralString = """
SELECT student_id, given_name
FROM student
WHERE school_id = %(school_id)s
  AND student_id = ANY(%(student_ids)s::uuid[])
ORDER BY student_id
LIMIT 1000
"""


async def student_names(reader: Reader, school_id: UUID, student_ids: Sequence[UUID]) -> dict[UUID, str]:
    found = await reader.all(StudentName, STUDENT_NAMES, school_id=school_id, student_ids=list(student_ids))
    return {each.student_id: each.given_name for each in found}


# Uses guardian_link_student, guardian_pkey and membership_person.
ALERT_RECIPIENTS: LiteralString = """
SELECT DISTINCT absence.student_id, absence.day, guardian.guardian_id
FROM unnest(%(student_ids)s::uuid[], %(days)s::date[], %(marked_by)s::uuid[]) AS absence (student_id, day, marked_by)
JOIN guardian_link AS link
  ON link.school_id = %(school_id)s
 AND link.student_id = absence.student_id
JOIN guardian
  ON guardian.school_id = link.school_id
 AND guardian.guardian_id = link.guardian_id
WHERE link.is_active
  AND link.receives_alerts
  AND link.may_see
  AND coalesce(link.starts_on <= absence.day, true)
  AND coalesce(link.ends_on >= greatest(absence.day, %(today)s::date), true)
  AND guardian.is_active
  AND NOT EXISTS (
      SELECT FROM membership
      WHERE membership.school_id = guardian.school_id
        AND membership.person_id = guardian.guardian_id
        AND membership.user_id = absence.marked_by
        AND membership.is_active
  )
ORDER BY absence.student_id, absence.day, guardian.guardian_id
LIMIT 10000
"""


async def alert_recipients(
    reader: Reader,
    school_id: UUID,
    *,
    student_ids: Sequence[UUID],
    days: Sequence[date],
    marked_by: Sequence[UUID | None],
    today: date,
) -> list[AlertRecipient]:
    """Whom to tell of the days of students, given side by side with the login that made all marks of each.

    Everybody with a link that receives alerts, was in force on that day and has not ended since, once, but not about
    their own marks. Who may not see the child is not told either.
    """
    return await reader.all(
        AlertRecipient,
        ALERT_RECIPIENTS,
        school_id=school_id,
        student_ids=list(student_ids),
        days=list(days),
        marked_by=list(marked_by),
        today=today,
    )


# Uses the keys of people, and membership_person for logins without one.
CONTACTS: LiteralString = """
SELECT guardian_id AS recipient_id, concat_ws(' ', given_name, family_name) AS name, email
FROM guardian
WHERE school_id = %(school_id)s
  AND guardian_id = ANY(%(recipient_ids)s::uuid[])
UNION ALL
SELECT teacher_id, concat_ws(' ', given_name, family_name), email
FROM teacher
WHERE school_id = %(school_id)s
  AND teacher_id = ANY(%(recipient_ids)s::uuid[])
UNION ALL
SELECT student_id, given_name, email
FROM student
WHERE school_id = %(school_id)s
  AND student_id = ANY(%(recipient_ids)s::uuid[])
UNION ALL
SELECT user_id, '', max(email)
FROM membership
WHERE school_id = %(school_id)s
  AND person_id IS NULL
  AND user_id = ANY(%(recipient_ids)s::uuid[])
GROUP BY user_id
ORDER BY recipient_id
LIMIT 100000
"""


async def contacts(reader: Reader, school_id: UUID, recipient_ids: Sequence[UUID]) -> dict[UUID, Contact]:
    """How to write to people; who is not known yet, or has no address, is told in the app only."""
    found = await reader.all(Contact, CONTACTS, school_id=school_id, recipient_ids=list(recipient_ids))
    return {each.recipient_id: each for each in found}


# Uses membership_role.
OFFICE: LiteralString = """
SELECT DISTINCT coalesce(person_id, user_id) AS recipient_id
FROM membership
WHERE school_id = %(school_id)s
  AND role = 'school_admin'
  AND is_active
  AND user_id IS DISTINCT FROM %(but)s
ORDER BY recipient_id
LIMIT 1000
"""


async def office(reader: Reader, school_id: UUID, *, but: UUID | None = None) -> list[UUID]:
    """Under which the school's admins are notified; `but` is a login that is not to hear of it."""
    found = await reader.all(OfficeMember, OFFICE, school_id=school_id, but=but)
    return [each.recipient_id for each in found]


# Uses membership_person.
IS_LOGIN_OF: LiteralString = """
SELECT EXISTS (
    SELECT FROM membership
    WHERE school_id = %(school_id)s
      AND person_id = %(person_id)s
      AND user_id = %(user_id)s
      AND is_active
)
"""


async def is_login_of(reader: Reader, school_id: UUID, *, person_id: UUID, user_id: UUID) -> bool:
    """Whether this login acts for that person."""
    found = await reader.value(bool, IS_LOGIN_OF, school_id=school_id, person_id=person_id, user_id=user_id)
    return bool(found)
