"""Reports of absences, as `academic` tells of them."""

from services.notification.absence_reports import actions
from services.notification.notices.actions import Herald
from shared.contracts.academic import AbsenceReportChanged
from shared.contracts.envelope import Envelope
from shared.database import Tx


async def absence_report_changed(herald: Herald, tx: Tx, event: AbsenceReportChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.take_in(tx, herald, envelope.schoolid, event, version=envelope.version)
