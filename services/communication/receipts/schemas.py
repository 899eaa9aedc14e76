"""Announcements as their readers see them, and what became of each."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from services.communication.announcements.schemas import Attachment
from services.communication.audiences.schemas import Role

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class ReceivedAnnouncement(msgspec.Struct, frozen=True, kw_only=True):
    announcement_id: UUID
    title: str
    body: str
    is_urgent: bool
    author_name: str | None
    """The teacher who wrote it; null when it comes from the office."""
    student_ids: list[UUID]
    """The children that a guardian has it for and may see today."""
    is_pinned: bool
    edition: int
    sent_at: datetime
    edited_at: datetime | None
    read_at: datetime | None
    """Null until this edition was read."""
    files: list[Attachment] = []


class ReceivedKey(msgspec.Struct, frozen=True):
    """Where a page of what was received ends."""

    is_pinned: bool
    sent_at: Instant
    announcement_id: UUID


class RoleReceipts(msgspec.Struct, frozen=True, kw_only=True):
    role: Role
    recipients: int
    delivered: int
    read: int


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """Counted from the audience itself, for the edition that went out last."""

    edition: int
    recipients: int
    delivered: int
    """In whose inboxes it stands."""
    read: int
    by_role: list[RoleReceipts]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    role: Role
    given_name: str
    """Empty, as the other, for a school admin: of them only the login is known."""
    family_name: str
    student_ids: list[UUID]
    """The children that a guardian has it for."""
    delivered_at: datetime | None
    read_at: datetime | None
    """Null, as the other, while it holds for an earlier edition only."""


ReadState = Literal["read", "unread"]
