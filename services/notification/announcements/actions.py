"""An announcement reaches the inboxes of its audience part by part; withdrawn, it leaves them whole."""

from typing import Final
from uuid import UUID

from services.notification.announcements import queries
from services.notification.notices.actions import Herald
from services.notification.notices.schemas import Addressee, Notice
from services.notification.wording import Text, shortened
from shared import clock, telemetry
from shared.contracts.communication import AnnouncementSent, AnnouncementWithdrawn
from shared.contracts.notification import AnnouncementDelivered
from shared.database import Tx
from shared.outbox import publish

LONGEST_IN_APP: Final = 500
LONGEST_IN_MAIL: Final = 4000
"""The whole text stands where the link leads: thousands of copies of a long one would help nobody."""
LONGEST_TITLE: Final = 200


async def tell(tx: Tx, herald: Herald, school_id: UUID, event: AnnouncementSent, *, subject: str) -> None:
    """Notify this part of the audience, each once per edition, and say who was: unless it was withdrawn before."""
    if await queries.is_withdrawn(tx, school_id, event.announcement_id):
        return
    told = await herald.tell(tx, school_id, [_notice(event)])
    in_app = [each.addressee.recipient_id for each in told if each.notification.in_app]
    if in_app:
        delivered = AnnouncementDelivered(
            announcement_id=event.announcement_id,
            edition=event.edition,
            recipient_ids=in_app,
            delivered_at=clock.now(),
        )
        await publish(tx, delivered, school_id=school_id, subject=subject, version=event.edition)


async def withdraw(tx: Tx, herald: Herald, school_id: UUID, event: AnnouncementWithdrawn) -> None:
    await queries.withdraw(tx, school_id, event.announcement_id, withdrawn_at=event.withdrawn_at)
    await herald.withdraw(tx, school_id, event.announcement_id, "announcement")


def _notice(event: AnnouncementSent) -> Notice:
    return Notice(
        category="announcement",
        idempotency_key=f"announcement:{event.announcement_id}:{event.edition}",
        subject_id=event.announcement_id,
        text=Text(title=shortened(event.title, LONGEST_TITLE), body=shortened(event.body, LONGEST_IN_APP)),
        mail_text=shortened(event.body, LONGEST_IN_MAIL),
        deep_link=f"/announcements/{event.announcement_id}",
        is_emergency=event.is_urgent,
        traceparent=telemetry.traceparent(),
        addressees=[
            Addressee(recipient_id=each.recipient_id, role=each.role, student_ids=each.student_ids)
            for each in event.recipients
        ],
    )
