"""Announcements, as `communication` tells of them."""

from services.notification.announcements import actions
from services.notification.notices.actions import Herald
from shared.contracts.communication import (
    AnnouncementChanged,
    AnnouncementHeld,
    AnnouncementSent,
    AnnouncementWithdrawn,
)
from shared.contracts.envelope import Envelope
from shared.database import Tx


async def announcement_sent(herald: Herald, tx: Tx, event: AnnouncementSent, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.tell(tx, herald, envelope.schoolid, event, subject=envelope.subject)


async def announcement_changed(herald: Herald, tx: Tx, event: AnnouncementChanged, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.change(tx, herald, envelope.schoolid, event, version=envelope.version)


async def announcement_withdrawn(herald: Herald, tx: Tx, event: AnnouncementWithdrawn, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.withdraw(tx, herald, envelope.schoolid, event)


async def announcement_held(herald: Herald, tx: Tx, event: AnnouncementHeld, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await actions.tell_author(tx, herald, envelope.schoolid, event, version=envelope.version)
