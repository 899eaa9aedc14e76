"""What was told last of a school's announcements. Read from the primary: a rebuild must miss nothing that was told."""

from uuid import UUID

from services.communication.snapshots import queries
from services.communication.snapshots.schemas import SnapshotKey
from shared.contracts.communication import AnnouncementChanged
from shared.contracts.snapshots import AnnouncementKind, AnnouncementSnapshotRow, ReceiptKept
from shared.database import Database

FIRST = SnapshotKey(UUID(int=0), UUID(int=0))


async def snapshot(
    database: Database, school_id: UUID, kind: AnnouncementKind, *, after: SnapshotKey, limit: int
) -> list[AnnouncementSnapshotRow]:
    reader = database.reader(school_id=school_id, is_fresh=True)
    if kind == "announcements":
        return await queries.announcements(reader, school_id=school_id, after=after, limit=limit)
    return await queries.receipts(reader, school_id=school_id, after=after, limit=limit)


def key_of(row: AnnouncementChanged | ReceiptKept) -> SnapshotKey:
    """By which its page is ordered."""
    recipient_id = row.recipient_id if isinstance(row, ReceiptKept) else UUID(int=0)
    return SnapshotKey(row.announcement_id, recipient_id)
