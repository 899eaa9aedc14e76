"""Announcements, as those who write them see them."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from services.communication.audiences.schemas import Audience, Role
from shared.text import pattern

State = Literal["draft", "scheduled", "held", "sending", "sent", "withdrawn"]
HoldReason = Literal["nobody_to_tell", "expired", "day_over"]
"""`day_over`: it was for those absent on the day when it was to go out, and the school has another day by now."""
AuthorRole = Literal["school_admin", "teacher"]

UNSEEN: Final = (
    r"\x20\x80-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f"
    r"\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)
"""Characters that show nothing: spaces of all kinds, joiners, marks of direction and of variants, fillers.

The patterns eat those in front, want one that is seen, then take the rest: nothing is tried twice, however long it is.
"""
Title = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        pattern=pattern(
            rf"^[{UNSEEN}]*[^\x00-\x1f\x7f{UNSEEN}][^\x00-\x1f\x7f]*$(?!\n)", "Must be one line that says something."
        ),
    ),
]
Body = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=10_000,
        pattern=pattern(
            rf"^[\t\n\r{UNSEEN}]*[^\x00-\x1f\x7f{UNSEEN}][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$",
            "Must be text that says something; of control characters, lines and tabs only.",
        ),
    ),
]
"""Plain text; addresses in it are for the front end to make links of."""
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
LocalTime = Annotated[datetime, msgspec.Meta(tz=False)]
"""Without an offset: what the clock of the school shows."""
Version = Annotated[int, msgspec.Meta(ge=1)]


FileIds = Annotated[list[UUID], msgspec.Meta(max_length=10)]


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    file_id: UUID
    name: str
    media_type: str
    size_bytes: int


class NewAnnouncement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Title
    body: Body
    audience: Audience
    is_urgent: bool = False
    """May break quiet hours; the office only."""
    pinned_until: Instant | None = None
    """Until then it stands above the others."""
    expires_at: Instant | None = None
    """From then on it is no longer listed."""
    file_ids: FileIds = []
    """Files that are uploaded and ready, in the order in which they hang on it."""


class AnnouncementChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. Once it went out, audience and urgency stand."""

    version: Version
    title: Title | UnsetType = UNSET
    body: Body | UnsetType = UNSET
    audience: Audience | UnsetType = UNSET
    is_urgent: bool | UnsetType = UNSET
    pinned_until: Instant | UnsetType | None = UNSET
    expires_at: Instant | UnsetType | None = UNSET
    file_ids: FileIds | UnsetType = UNSET
    notify: bool = False
    """Whether those who had it are told again; otherwise they see the new text, and nobody hears of it."""


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Version
    at: LocalTime | None = None
    """In the school's own time; now, when it is left out. Of a time that comes twice the first is meant."""


class CallBackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Version


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    announcement_id: UUID
    author_user_id: UUID
    author_role: AuthorRole
    title: str
    body: str
    audience: Audience
    is_urgent: bool
    state: State
    hold_reason: HoldReason | None
    """Why it was due and did not go out."""
    send_at_local: datetime | None
    """What the clock of the school shows when it goes out."""
    send_at: datetime | None
    pinned_until: datetime | None
    expires_at: datetime | None
    edition: int
    """1 at first; one more each time that its readers were told of an edit."""
    version: int
    created_at: datetime
    edited_at: datetime | None
    """When the text was changed after it went out."""
    sent_at: datetime | None
    withdrawn_at: datetime | None
    files: list[Attachment]


class AnnouncementRow(msgspec.Struct, frozen=True, kw_only=True):
    announcement_id: UUID
    author_user_id: UUID
    author_role: AuthorRole
    author_person_id: UUID | None
    title: str
    body: str
    audience: object
    is_urgent: bool
    state: State
    hold_reason: HoldReason | None
    send_at_local: datetime | None
    send_at: datetime | None
    pinned_until: datetime | None
    expires_at: datetime | None
    edition: int
    next_part: int
    parts: int
    version: int
    created_at: datetime
    edited_at: datetime | None
    sent_by: UUID | None
    sent_at: datetime | None
    withdrawn_at: datetime | None
    traceparent: str | None

    @property
    def rules(self) -> Audience:
        return msgspec.convert(self.audience, Audience)


class AnnouncementSummary(msgspec.Struct, frozen=True, kw_only=True):
    announcement_id: UUID
    author_user_id: UUID
    author_role: AuthorRole
    title: str
    state: State
    hold_reason: HoldReason | None
    is_urgent: bool
    send_at: datetime | None
    pinned_until: datetime | None
    expires_at: datetime | None
    sent_at: datetime | None
    version: int


class WrittenKey(msgspec.Struct, frozen=True):
    """Where a page of what was written ends."""

    announcement_id: UUID


class DueAnnouncement(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the queue: ids only."""

    school_id: UUID
    announcement_id: UUID


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One person of a part of the audience, as the event tells of them."""

    recipient_id: UUID
    role: Role
    student_ids: list[UUID]


class AudienceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    audience: Audience
