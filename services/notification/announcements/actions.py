"""An announcement reaches the inboxes of its audience part by part; changed, it is changed there; withdrawn, it leaves
them whole.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.notification.announcements import queries, rules, texts
from services.notification.announcements.schemas import Content
from services.notification.notices.actions import Herald
from services.notification.notices.schemas import Addressee, Notice
from services.notification.wording import LONGEST_TITLE, Text, shortened
from shared import clock, telemetry
from shared.contracts.communication import (
    AnnouncementChanged,
    AnnouncementHeld,
    AnnouncementSent,
    AnnouncementWithdrawn,
)
from shared.contracts.notification import AnnouncementDelivered
from shared.database import Tx
from shared.outbox import publish

LONGEST_IN_APP: Final = 500
LONGEST_IN_MAIL: Final = 4000
"""The whole text stands where the link leads: thousands of copies of a long one would help nobody."""


async def tell(tx: Tx, herald: Herald, school_id: UUID, event: AnnouncementSent, *, subject: str) -> None:
    """Notify this part of the audience, each once per edition, and say who was: unless it was withdrawn before."""
    known = await queries.known(tx, school_id, event.announcement_id)
    if known.is_withdrawn:
        return
    addressees = [
        Addressee(recipient_id=each.recipient_id, role=each.role, student_ids=each.student_ids)
        for each in event.recipients
    ]
    content = rules.newest(event, known)
    notice = _notice(event.announcement_id, content, is_emergency=event.is_urgent, addressees=addressees)
    told = await herald.tell(tx, school_id, [notice])
    in_app = [each.addressee.recipient_id for each in told if each.notification.in_app]
    if in_app:
        delivered = AnnouncementDelivered(
            announcement_id=event.announcement_id,
            edition=event.edition,
            recipient_ids=in_app,
            delivered_at=clock.now(),
        )
        await publish(tx, delivered, school_id=school_id, subject=subject, version=event.edition)


async def change(tx: Tx, herald: Herald, school_id: UUID, event: AnnouncementChanged, *, version: int) -> None:
    """Whatever was told of it reads as it does now. Nobody is told that it changed."""
    if not await queries.take_in(tx, school_id, event, version=version):
        return
    content = Content(edition=event.edition, title=event.title, body=event.body, expires_at=event.expires_at)
    await herald.rewrite(tx, school_id, _notice(event.announcement_id, content))
    await herald.withdraw(tx, school_id, event.announcement_id, "announcement_held")


async def tell_author(tx: Tx, herald: Herald, school_id: UUID, event: AnnouncementHeld, *, version: int) -> None:
    """That it did not go out, each time that it did not. Nobody, when by now it did, or was withdrawn."""
    known = await queries.known(tx, school_id, event.announcement_id)
    if known.is_withdrawn or known.version > version:
        return
    author = event.author
    notice = Notice(
        category="announcement_held",
        idempotency_key=f"announcement-held:{event.announcement_id}:{version}",
        subject_id=event.announcement_id,
        text=texts.announcement_held(event),
        deep_link=f"/announcements/written/{event.announcement_id}",
        traceparent=telemetry.traceparent(),
        addressees=[Addressee(recipient_id=author.recipient_id, role=author.role)],
    )
    await herald.tell(tx, school_id, [notice])


async def withdraw(tx: Tx, herald: Herald, school_id: UUID, event: AnnouncementWithdrawn) -> None:
    """What was told of it, and to its author that it did not go out: there is nothing left to send again."""
    await queries.withdraw(tx, school_id, event.announcement_id, withdrawn_at=event.withdrawn_at)
    await herald.withdraw(tx, school_id, event.announcement_id, "announcement", "announcement_held")


def _notice(
    announcement_id: UUID, content: Content, *, is_emergency: bool = False, addressees: Sequence[Addressee] = ()
) -> Notice:
    return Notice(
        category="announcement",
        idempotency_key=f"announcement:{announcement_id}:{content.edition}",
        subject_id=announcement_id,
        edition=content.edition,
        text=Text(title=shortened(content.title, LONGEST_TITLE), body=shortened(content.body, LONGEST_IN_APP)),
        mail_text=shortened(content.body, LONGEST_IN_MAIL),
        deep_link=f"/announcements/{announcement_id}",
        expires_at=content.expires_at,
        is_emergency=is_emergency,
        traceparent=telemetry.traceparent(),
        addressees=list(addressees),
    )
