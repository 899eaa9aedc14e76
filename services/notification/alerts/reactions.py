"""Attendance, as `academic` tells of it."""

from services.notification.alerts import actions
from services.notification.alerts.telling import Teller
from shared.contracts.academic import AttendanceDayChanged
from shared.contracts.envelope import Envelope
from shared.database import Tx


async def attendance_day_changed(teller: Teller, tx: Tx, event: AttendanceDayChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.take_in_day(tx, teller, envelope.schoolid, event, version=envelope.version)
