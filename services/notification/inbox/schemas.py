"""What a person reads in the app."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Category = Literal[
    "absence_alert",
    "absence_correction",
    "absence_report",
    "absence_answer",
    "register_reminder",
    "announcement",
    "announcement_held",
]


class NewNotification(msgspec.Struct, frozen=True, kw_only=True):
    notification_id: UUID
    recipient_person_id: UUID
    """The school record; the login of who has none, such as a school admin."""
    student_ids: list[UUID]
    """The children that a guardian hears of it for; who may see none of them any more does not see it either."""
    subject_id: UUID | None = None
    """What it tells of, by which it can be withdrawn and changed."""
    edition: int | None = None
    category: Category
    idempotency_key: str
    """What it is about; nobody is told the same (`category`) of it twice."""
    title: str
    body: str
    deep_link: str
    """A path of the front end."""
    created_at: datetime
    in_app: bool = True
    """False for what its recipient does not want to see in the app."""
    expires_at: datetime | None = None
    """From then on it is neither listed nor sent."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    notification_id: UUID
    student_id: UUID | None
    """The child that it is about, when it is exactly one."""
    student_ids: list[UUID]
    """The children that a guardian hears of it for."""
    category: Category
    title: str
    body: str
    deep_link: str
    """A path of the front end."""
    created_at: datetime
    read_at: datetime | None


class Added(msgspec.Struct, frozen=True, kw_only=True):
    notification_id: UUID


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True):
    notification_id: UUID
    recipient_person_id: UUID


class Told(msgspec.Struct, frozen=True, kw_only=True):
    recipient_person_id: UUID


class InboxKey(msgspec.Struct, frozen=True):
    """Where a page of the inbox ends."""

    notification_id: UUID


class UnreadCount(msgspec.Struct, frozen=True, kw_only=True):
    unread_count: int
