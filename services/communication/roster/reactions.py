"""Schools, people and classes, as their owners tell of them."""

from services.communication.roster import actions, queries
from shared.contracts.academic import (
    ClassChanged,
    GuardianChanged,
    GuardianLinkChanged,
    StudentChanged,
    TeacherChanged,
)
from shared.contracts.envelope import Envelope
from shared.contracts.school import SchoolChanged
from shared.database import Tx


async def school_changed(tx: Tx, event: SchoolChanged, envelope: Envelope) -> None:
    await queries.save_school(tx, school_id=event.school_id, event=event, version=envelope.version)


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
