"""SQL over what was told last of announcements and of what staff read, page by page in order of keys."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from services.communication.snapshots.schemas import SnapshotKey
from shared.contracts.communication import AnnouncementChanged
from shared.contracts.snapshots import AnnouncementSnapshotRow, ReceiptKept
from shared.database import Reader


class AnnouncementState(msgspec.Struct, frozen=True, kw_only=True):
    announcement_id: UUID
    edition: int
    title: str
    body: str
    expires_at: datetime | None
    is_withdrawn: bool
    version: int


# Those that went out; uses announcement_pkey.
ANNOUNCEMENTS = """
SELECT announcement_id, edition, title, body, expires_at, state = 'withdrawn' AS is_withdrawn, version
FROM announcement
WHERE school_id = %(school_id)s
AND announcement_id > %(after_id)s
AND sent_at IS NOT NULL
ORDER BY announcement_id
LIMIT %(limit)s
"""


async def announcements(
    reader: Reader, *, school_id: UUID, after: SnapshotKey, limit: int
) -> list[AnnouncementSnapshotRow]:
    found = await reader.all(
        AnnouncementState, ANNOUNCEMENTS, school_id=school_id, after_id=after.announcement_id, limit=limit
    )
    return [
        AnnouncementSnapshotRow(
            version=each.version,
            data=AnnouncementChanged(
                announcement_id=each.announcement_id,
                edition=each.edition,
                title=each.title,
                body=each.body,
                expires_at=each.expires_at,
                is_withdrawn=each.is_withdrawn,
            ),
        )
        for each in found
    ]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    announcement_id: UUID
    recipient_id: UUID
    role: Literal["school_admin", "teacher"]
    read_edition: int


# Uses announcement_recipient_pkey.
RECEIPTS = """
SELECT announcement_id, recipient_id, role, read_edition
FROM announcement_recipient
WHERE school_id = %(school_id)s
AND (announcement_id, recipient_id) > (%(after_announcement_id)s, %(after_recipient_id)s)
AND role IN ('school_admin', 'teacher')
ORDER BY announcement_id, recipient_id
LIMIT %(limit)s
"""


async def receipts(reader: Reader, *, school_id: UUID, after: SnapshotKey, limit: int) -> list[AnnouncementSnapshotRow]:
    """Of staff: nobody else follows what families read."""
    found = await reader.all(
        Receipt,
        RECEIPTS,
        school_id=school_id,
        after_announcement_id=after.announcement_id,
        after_recipient_id=after.recipient_id,
        limit=limit,
    )
    return [
        AnnouncementSnapshotRow(
            version=each.read_edition,
            data=ReceiptKept(announcement_id=each.announcement_id, recipient_id=each.recipient_id, role=each.role),
        )
        for each in found
    ]
