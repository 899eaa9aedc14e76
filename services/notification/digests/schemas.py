"""One mail a day for what can wait."""

from datetime import date, datetime
from uuid import UUID

import msgspec

from services.notification.inbox.schemas import Category


class NewDigest(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    day: date
    """In the recipient's time zone."""
    delivery_id: UUID


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A digest that was not yet tried."""

    delivery_id: UUID
    day: date
    """In the recipient's time zone."""


class NewItem(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    day: date
    notification_id: UUID


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a digest when it is sent."""

    notification_id: UUID
    category: Category
    student_ids: list[UUID]
    in_sight: list[UUID]
    """Those of these children whom the reader may still see: only they are named."""
    title: str
    body: str
    deep_link: str
    created_at: datetime
