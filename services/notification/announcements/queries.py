"""Which announcements were withdrawn."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from shared.database import Tx

BEGIN: LiteralString = """
INSERT INTO announcement (school_id, announcement_id)
VALUES (%(school_id)s, %(announcement_id)s)
ON CONFLICT (school_id, announcement_id) DO NOTHING
"""

# Shared: the parts of one announcement do not wait for each other, only for its being withdrawn.
LOCK: LiteralString = """
SELECT withdrawn_at IS NOT NULL
FROM announcement
WHERE school_id = %(school_id)s
  AND announcement_id = %(announcement_id)s
FOR SHARE
"""


async def is_withdrawn(tx: Tx, school_id: UUID, announcement_id: UUID) -> bool:
    """Whether it was withdrawn; it stays so until the transaction ends."""
    await tx.execute(BEGIN, school_id=school_id, announcement_id=announcement_id)
    return bool(await tx.value(bool, LOCK, school_id=school_id, announcement_id=announcement_id))


WITHDRAW: LiteralString = """
INSERT INTO announcement (school_id, announcement_id, withdrawn_at)
VALUES (%(school_id)s, %(announcement_id)s, %(withdrawn_at)s)
ON CONFLICT (school_id, announcement_id) DO UPDATE
SET withdrawn_at = excluded.withdrawn_at
"""


async def withdraw(tx: Tx, school_id: UUID, announcement_id: UUID, *, withdrawn_at: datetime) -> None:
    """Also one that was not heard of yet."""
    await tx.execute(WITHDRAW, school_id=school_id, announcement_id=announcement_id, withdrawn_at=withdrawn_at)
