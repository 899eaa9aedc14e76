"""What `communication` tells the others."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class AnnouncementRecipient(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    """The school record of a teacher, guardian or student; the login of who has none, such as a school admin."""
    role: Literal["school_admin", "teacher", "guardian", "student"]
    student_ids: list[UUID]
    """The children that a guardian hears of it for; empty for everybody else."""


class AnnouncementSent(
    msgspec.Struct, frozen=True, kw_only=True, tag="communication.announcement_sent.v1", tag_field="type"
):
    """An announcement goes out to a part of its frozen audience: each of them is to be notified exactly once.

    The envelope's subject is `<announcement_id>/<edition>/<part>`.
    """

    announcement_id: UUID
    edition: int
    """1 at first; one more each time the author asks to notify of an edit."""
    part: int
    title: str
    body: str
    is_urgent: bool
    """Whether it may break quiet hours."""
    recipients: list[AnnouncementRecipient]
    sent_by: UUID
    """The login."""
    sent_at: Instant


class AnnouncementChanged(
    msgspec.Struct, frozen=True, kw_only=True, tag="communication.announcement_changed.v1", tag_field="type"
):
    """What readers see of an announcement that went out: told when it goes out, and whenever that changes.

    The version of the envelope is that of the announcement.
    """

    announcement_id: UUID
    edition: int
    """Whoever has read an earlier one has not read it."""
    title: str
    body: str
    """As they are now: an edit that is told to nobody is no new edition, and is seen all the same."""
    expires_at: Instant | None
    """From then on it is no longer listed."""
    is_withdrawn: bool
    """Nobody sees it any more."""


class AnnouncementRead(
    msgspec.Struct, frozen=True, kw_only=True, tag="communication.announcement_read.v1", tag_field="type"
):
    """A member of staff has read an announcement. What families read is told to no other service.

    The envelope's subject is `<announcement_id>/<recipient_id>`, its version the edition that was read.
    """

    announcement_id: UUID
    recipient_id: UUID
    role: Literal["school_admin", "teacher"]
    edition: int
    read_at: Instant


class AnnouncementWithdrawn(
    msgspec.Struct, frozen=True, kw_only=True, tag="communication.announcement_withdrawn.v1", tag_field="type"
):
    """An announcement is no longer to be seen: what was not sent of it stays unsent."""

    announcement_id: UUID
    withdrawn_at: Instant


class AnnouncementHeld(
    msgspec.Struct, frozen=True, kw_only=True, tag="communication.announcement_held.v1", tag_field="type"
):
    """An announcement was due and did not go out. It waits for its author, who is to hear of it.

    The version of the envelope is that of the announcement.
    """

    announcement_id: UUID
    title: str
    reason: str
    """`nobody_to_tell`, `expired`, `day_over`; there may come further ones."""
    author: AnnouncementRecipient
    held_at: Instant


class FileReady(msgspec.Struct, frozen=True, kw_only=True, tag="communication.file_ready.v1", tag_field="type"):
    """A file was uploaded and found to be what it was said to be: it can be attached and downloaded."""

    file_id: UUID
    name: str
    media_type: str
    size_bytes: int
    uploaded_by: UUID
    """The login."""


class FileRejected(msgspec.Struct, frozen=True, kw_only=True, tag="communication.file_rejected.v1", tag_field="type"):
    """A file was uploaded and is not what it was said to be, or holds a virus: nobody will ever download it."""

    file_id: UUID
    reason: str
    """`wrong_size`, `wrong_type`, `mixed_types`, `infected` and so on; there may come further ones."""
    uploaded_by: UUID
    """The login."""


CommunicationEvent = (
    AnnouncementSent
    | AnnouncementChanged
    | AnnouncementRead
    | AnnouncementWithdrawn
    | AnnouncementHeld
    | FileReady
    | FileRejected
)
