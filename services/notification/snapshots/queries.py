"""SQL over what became of mails, page by page in order of keys."""

from datetime import date, datetime
from typing import Literal, LiteralString
from uuid import UUID

import msgspec

from shared.contracts.notification import DeliveryEnded
from shared.contracts.snapshots import DeliverySnapshotRow
from shared.database import Reader


class EndedMail(msgspec.Struct, frozen=True, kw_only=True):
    delivery_id: UUID
    category: str
    state: Literal["sent", "failed", "unreachable", "cancelled"]
    recipient_id: UUID | None
    student_id: UUID | None
    day: date | None
    ended_at: datetime


# Uses delivery_day; what is of no day is told to nobody who counts days.
ENDED_MAILS: LiteralString = """
SELECT delivery_id, category, state, recipient_person_id AS recipient_id, student_id, day, updated_at AS ended_at
FROM delivery
WHERE school_id = %(school_id)s
AND day = %(day)s
AND delivery_id > %(after_id)s
AND state IN ('sent', 'failed', 'unreachable', 'cancelled')
ORDER BY delivery_id
LIMIT %(limit)s
"""


async def ended_mails(
    reader: Reader, *, school_id: UUID, day: date, after_id: UUID, limit: int
) -> list[DeliverySnapshotRow]:
    """A mail ends once, so each has the version with which that was told."""
    found = await reader.all(EndedMail, ENDED_MAILS, school_id=school_id, day=day, after_id=after_id, limit=limit)
    return [DeliverySnapshotRow(version=1, data=DeliveryEnded(**msgspec.structs.asdict(each))) for each in found]
