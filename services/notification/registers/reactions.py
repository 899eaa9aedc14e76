"""Registers that are missing, as `academic` tells of them."""

from services.notification.notices.actions import Herald
from services.notification.registers import actions
from shared.contracts.academic import RegisterMissing
from shared.contracts.envelope import Envelope
from shared.database import Tx


async def register_missing(herald: Herald, tx: Tx, event: RegisterMissing, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.remind(tx, herald, envelope.schoolid, event)
