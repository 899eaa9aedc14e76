"""What `notification` tells the others."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class AnnouncementDelivered(
    msgspec.Struct, frozen=True, kw_only=True, tag="notification.announcement_delivered.v1", tag_field="type"
):
    """An announcement stands in the inboxes of these recipients."""

    announcement_id: UUID
    edition: int
    recipient_ids: list[UUID]
    delivered_at: Instant


class DeliveryEnded(msgspec.Struct, frozen=True, kw_only=True, tag="notification.delivery_ended.v1", tag_field="type"):
    """What became of a mail: taken over by the mail server, given up, impossible from the start, or not needed."""

    delivery_id: UUID
    category: str
    state: Literal["sent", "failed", "unreachable", "cancelled"]
    recipient_id: UUID | None = None
    """None when there was nobody to write to."""
    student_id: UUID | None = None
    day: date | None = None
    """The school day that it is about, of an absence."""
    ended_at: Instant


NotificationEvent = AnnouncementDelivered | DeliveryEnded
