"""What became of an announcement, as `notification` tells of it."""

from services.communication.receipts import queries
from shared.contracts.envelope import Envelope
from shared.contracts.notification import AnnouncementDelivered
from shared.database import Tx


async def announcement_delivered(tx: Tx, event: AnnouncementDelivered, envelope: Envelope) -> None:
    assert envelope.schoolid is not None
    await queries.mark_delivered(
        tx,
        school_id=envelope.schoolid,
        announcement_id=event.announcement_id,
        recipient_ids=event.recipient_ids,
        edition=event.edition,
        delivered_at=event.delivered_at,
    )
