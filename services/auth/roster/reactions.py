"""Schools and people, as their owners tell of them; logins follow."""

from uuid import UUID

from services.auth import emails
from services.auth.invites import queries as invites
from services.auth.memberships import actions as memberships
from services.auth.roster import queries
from services.auth.roster.schemas import Person, PersonRole
from services.auth.sessions.revocations import Revocations
from shared import clock
from shared.contracts.academic import GuardianChanged, StudentChanged, TeacherChanged
from shared.contracts.envelope import Envelope
from shared.contracts.school import SchoolChanged
from shared.database import Tx


async def school_changed(tx: Tx, event: SchoolChanged, envelope: Envelope) -> None:
    await queries.save_school(tx, event.school_id, name=event.name, version=envelope.version)


async def teacher_changed(revocations: Revocations, tx: Tx, event: TeacherChanged, envelope: Envelope) -> None:
    await _follow(tx, revocations, envelope, _person(event.teacher_id, "teacher", event))


async def student_changed(revocations: Revocations, tx: Tx, event: StudentChanged, envelope: Envelope) -> None:
    await _follow(tx, revocations, envelope, _person(event.student_id, "student", event))


async def guardian_changed(revocations: Revocations, tx: Tx, event: GuardianChanged, envelope: Envelope) -> None:
    await _follow(tx, revocations, envelope, _person(event.guardian_id, "guardian", event))


def _person(person_id: UUID, role: PersonRole, event: TeacherChanged | StudentChanged | GuardianChanged) -> Person:
    email = (event.email or "").strip() or None
    return Person(
        person_id=person_id,
        role=role,
        name=f"{event.given_name} {event.family_name}".strip(),
        email=email,
        email_normalised=emails.normalised(email) if email else None,
        is_active=event.is_active,
    )


async def _follow(tx: Tx, revocations: Revocations, envelope: Envelope, person: Person) -> None:
    school_id = envelope.schoolid
    assert school_id is not None, "people belong to a school"
    if not await queries.save_person(tx, school_id, person, version=envelope.version):
        return
    await memberships.follow_person(
        tx,
        revocations,
        school_id,
        person_id=person.person_id,
        is_active=person.is_active,
        email_normalised=person.email_normalised,
    )
    await invites.expire_outdated(tx, school_id, person_id=person.person_id, now=clock.now())
