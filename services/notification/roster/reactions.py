"""Schools and people, as their owners tell of them."""

from services.notification.roster import queries
from shared.contracts.academic import GuardianChanged, GuardianLinkChanged, StudentChanged, TeacherChanged
from shared.contracts.auth import MembershipChanged
from shared.contracts.envelope import Envelope
from shared.contracts.school import SchoolChanged
from shared.database import Tx


async def school_changed(tx: Tx, event: SchoolChanged, envelope: Envelope) -> None:
    await queries.save_school(tx, event.school_id, event, envelope.version)


async def student_changed(tx: Tx, event: StudentChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_student(tx, envelope.schoolid, event, envelope.version)


async def teacher_changed(tx: Tx, event: TeacherChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_teacher(tx, envelope.schoolid, event, envelope.version)


async def guardian_changed(tx: Tx, event: GuardianChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_guardian(tx, envelope.schoolid, event, envelope.version)


async def guardian_link_changed(tx: Tx, event: GuardianLinkChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_guardian_link(tx, envelope.schoolid, event, envelope.version)


async def membership_changed(tx: Tx, event: MembershipChanged, envelope: Envelope) -> None:
    """A role on the platform as a whole belongs to no school, and has no inbox here."""
    if envelope.schoolid is not None:
        await queries.save_membership(tx, envelope.schoolid, event, envelope.version)
