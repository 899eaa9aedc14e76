"""Files as who uploads them sees them, and the room's own rows."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

State = Literal["pending", "ready", "rejected"]
Fault = Literal[
    "wrong_size", "wrong_type", "mixed_types", "too_many_pixels", "unpacks_too_large", "has_macros", "infected"
]


class FileRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    """As the person calls it; what no file name may hold is taken out."""
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    media_type: Annotated[str, msgspec.Meta(min_length=3, max_length=100)]
    """Such as `application/pdf`; what is uploaded must be that."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    media_type: str
    size_bytes: int
    state: State
    """`pending` until it is completed; only what is `ready` can be downloaded."""
    rejected_because: Fault | None
    created_at: datetime


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a file; what of it a caller may see is `rules.shown`."""

    file_id: UUID
    uploader_id: UUID
    name: str
    media_type: str
    size_bytes: int
    state: State
    upload_id: str | None
    object_key: str | None
    rejected_because: Fault | None
    created_at: datetime
    is_used: bool


class FileUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of its room a school has taken: by files that are ready, and by those that are on their way."""

    used_bytes: int
    quota_bytes: int


class Unused(msgspec.Struct, frozen=True, kw_only=True):
    """What of a person's files takes room and serves nothing yet."""

    pending_files: int
    unused_bytes: int


class UploadPart(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes from `offset` on, `size_bytes` of them. The store takes neither more nor fewer."""

    number: int
    offset: int
    size_bytes: int
    url: str | None
    """Where to PUT them; null when they are there already."""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """How to bring the bytes into the store: PUT each part that has a URL, in any order, then complete the file."""

    expires_at: datetime
    """Until then the URLs are good; ask again for fresh ones."""
    headers: dict[str, str]
    """To be sent with each PUT exactly so."""
    parts: list[UploadPart]


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    file: File
    upload: Upload


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has the URL can read the file until it expires: not for logs, not for passing on."""

    url: str
    expires_at: datetime


class FileKey(msgspec.Struct, frozen=True):
    """Where a page of files ends."""

    file_id: UUID


class AttachedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file and what it hangs on."""

    used_by_id: UUID
    file_id: UUID
    name: str
    media_type: str
    size_bytes: int


class DueFile(msgspec.Struct, frozen=True, kw_only=True):
    school_id: UUID
    file_id: UUID


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is to go, and with it the multipart upload that would have made it."""

    object_key: str
    upload_id: str | None
