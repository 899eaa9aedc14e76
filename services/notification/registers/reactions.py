"""Registers that are missing, or no longer, as `academic` tells of them. What it told last is right."""

from services.notification.notices.actions import Herald
from services.notification.registers import actions
from shared.contracts.academic import LessonsPlanned, RegisterMissing, RegisterNotMissing, RegisterSaved
from shared.contracts.envelope import Envelope
from shared.database import Tx


async def register_missing(herald: Herald, tx: Tx, event: RegisterMissing, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.remind(tx, herald, envelope.schoolid, event, missing_at=envelope.time)


async def register_saved(herald: Herald, tx: Tx, event: RegisterSaved, envelope: Envelope) -> None:
    """One that leaves somebody out is still missing."""
    if event.is_complete is False:
        return
    assert envelope.schoolid is not None
    await actions.settle(tx, herald, envelope.schoolid, [event.lesson_id], settled_at=envelope.time)


async def register_not_missing(herald: Herald, tx: Tx, event: RegisterNotMissing, envelope: Envelope) -> None:
    """Nobody saved it whole, and nobody need."""
    assert envelope.schoolid is not None
    await actions.settle(tx, herald, envelope.schoolid, [event.lesson_id], settled_at=envelope.time)


async def lessons_planned(herald: Herald, tx: Tx, event: LessonsPlanned, envelope: Envelope) -> None:
    """A lesson that does not meet, as it is cancelled or its day a holiday by now, needs no register."""
    assert envelope.schoolid is not None
    unmet = [each.lesson_id for each in event.lessons if each.is_cancelled or each.is_on_holiday]
    await actions.settle(tx, herald, envelope.schoolid, unmet, settled_at=envelope.time)
