"""People and classes, as their owners tell of them."""

from typing import Final

from services.communication.roster import actions, queries
from shared.contracts.academic import (
    AttendanceDayChanged,
    ClassChanged,
    GuardianChanged,
    GuardianLinkChanged,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.auth import MembershipChanged
from shared.contracts.envelope import Envelope
from shared.database import Tx
from shared.identity import Role

STAFF: Final = frozenset({Role.SCHOOL_ADMIN, Role.TEACHER})


async def student_changed(tx: Tx, event: StudentChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_student(tx, school_id=envelope.schoolid, event=event, version=envelope.version)


async def teacher_changed(tx: Tx, event: TeacherChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_teacher(tx, school_id=envelope.schoolid, event=event, version=envelope.version)


async def guardian_changed(tx: Tx, event: GuardianChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_guardian(tx, school_id=envelope.schoolid, event=event, version=envelope.version)


async def guardian_link_changed(tx: Tx, event: GuardianLinkChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_guardian_link(tx, school_id=envelope.schoolid, event=event, version=envelope.version)


async def class_changed(tx: Tx, event: ClassChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.save_class(tx, envelope.schoolid, event, version=envelope.version)


async def membership_changed(tx: Tx, event: MembershipChanged, envelope: Envelope) -> None:
    """Of those who run a school there is no other record, and some of them teach. The platform has no school."""
    if envelope.schoolid is not None and event.role in STAFF:
        await queries.save_membership(tx, school_id=envelope.schoolid, event=event, version=envelope.version)


async def attendance_day_changed(tx: Tx, event: AttendanceDayChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.save_attendance(tx, school_id=envelope.schoolid, event=event, version=envelope.version)
