"""Mails and what became of them."""

from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

DeliveryState = Literal["queued", "retried", "sent", "failed", "unreachable", "cancelled"]
Category = Literal[
    "absence_alert",
    "absence_correction",
    "absence_report",
    "absence_answer",
    "register_reminder",
    "announcement",
    "announcement_held",
    "digest",
    "invite",
    "password_reset",
]
EndState = Literal["sent", "failed", "unreachable", "cancelled"]

PLATFORM: Final = UUID(int=0)
"""The tenant of mails that belong to no school: no token is ever for it, so nobody can list them."""


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to be sent. Without an address it is unreachable from the start, unless that may still be heard of."""

    delivery_id: UUID
    category: Category
    notification_id: UUID | None = None
    recipient_person_id: UUID | None = None
    """The school record; the login of who has none, such as a school admin."""
    recipient_name: str
    student_id: UUID | None = None
    day: date | None = None
    address: str | None
    is_awaited: bool = False
    """Whether the recipient was not heard of yet: the address is asked for when it is to be sent."""
    subject: str
    body: str
    sealed_code: str | None = None
    """Opened only in the moment of sending, and put at the end of the body on a line of its own."""
    expires_at: datetime | None = None
    is_urgent: bool = False
    """Whether it is sent in quiet hours too."""
    not_before: datetime | None = None
    traceparent: str | None


class DueDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the queue: ids only."""

    school_id: UUID
    delivery_id: UUID


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender needs for one attempt."""

    delivery_id: UUID
    notification_id: UUID | None
    category: Category
    recipient_person_id: UUID | None
    recipient_name: str
    student_id: UUID | None
    day: date | None
    address: str
    """Empty while the recipient was not heard of."""
    subject: str
    body: str
    sealed_code: str | None
    expires_at: datetime | None
    traceparent: str | None
    created_at: datetime
    attempts: int
    """How many there were before this one."""
    school_name: str
    is_urgent: bool = False
    """Whether it is sent in quiet hours too."""
    student_ids: list[UUID] = []
    """The children that a guardian hears of it for."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened around a mail since it was queued."""

    is_linked: bool = True
    """Whether the recipient is still to hear of the student."""
    is_awaited: bool = False
    """Whether the recipient, or their link to the student, was not heard of yet and may still be."""
    is_corrected: bool = False
    """Whether this alert was corrected."""
    was_alert_tried: bool = True
    """Whether the alert that this corrects was handed to a mail server, or may have been."""
    is_withdrawn: bool = False
    """Whether what it tells of is no longer to be seen."""
    is_over: bool = False
    """Whether what it tells of has expired."""
    is_superseded: bool = False
    """Whether the recipient was told a later edition of it."""
    is_gone: bool = False
    """Whether the recipient has left the school."""
    is_wanted: bool = True
    """Whether the recipient still wants it by mail, or must have it."""
    quiet_until: datetime | None = None
    """When the recipient's quiet hours end, in which this must not be sent."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the mail server made of a mail."""

    kind: Literal["accepted", "refused_for_now", "refused_for_good"]
    text: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery of which nothing further will come."""

    delivery_id: UUID
    category: Category
    recipient_person_id: UUID | None
    student_id: UUID | None
    day: date | None
    state: EndState


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery. `detail` is the mail server's answer or our own reason."""

    state: DeliveryState
    detail: str
    next_attempt_at: datetime | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the delivery log."""

    delivery_id: UUID
    category: Category
    channel: Literal["email"]
    recipient_person_id: UUID | None
    recipient_name: str
    student_id: UUID | None
    day: date | None
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


class DeliveryRecord(Delivery, frozen=True, kw_only=True):
    address: str | None
    provider_answer: str | None
    """What the mail server said when it took the mail over."""


class DeliveryEvent(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    state: DeliveryState
    attempts: int
    detail: str | None


class DeliveryHistory(msgspec.Struct, frozen=True, kw_only=True):
    delivery: DeliveryRecord
    events: list[DeliveryEvent]
    """Oldest first."""


class DeliveryKey(msgspec.Struct, frozen=True):
    """Where a page of the log ends."""

    delivery_id: UUID
