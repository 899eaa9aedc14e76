"""When each register was last told to be missing, and when it no longer was."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from services.notification.registers.schemas import Settled
from shared.database import Tx

MISS: LiteralString = """
INSERT INTO register (school_id, lesson_id, missing_at)
VALUES (%(school_id)s, %(lesson_id)s, %(missing_at)s)
ON CONFLICT (school_id, lesson_id) DO UPDATE
SET missing_at = greatest(register.missing_at, excluded.missing_at)
RETURNING coalesce(settled_at >= %(missing_at)s, false)
"""


async def is_settled(tx: Tx, school_id: UUID, lesson_id: UUID, *, missing_at: datetime) -> bool:
    """Whether it was settled since it was missing then; it stays so until the transaction ends."""
    return bool(await tx.value(bool, MISS, school_id=school_id, lesson_id=lesson_id, missing_at=missing_at))


# Uses notification_subject_recipient.
WITHDRAWN: LiteralString = """
SELECT count(DISTINCT idempotency_key)
FROM notification
WHERE school_id = %(school_id)s
  AND subject_id = %(lesson_id)s
  AND category = 'register_reminder'
  AND withdrawn_at IS NOT NULL
"""


async def withdrawn(tx: Tx, school_id: UUID, lesson_id: UUID) -> int:
    """How often it was told to be missing, and then that it no longer was."""
    return await tx.value(int, WITHDRAWN, school_id=school_id, lesson_id=lesson_id) or 0


# In the order of the key, so that two who settle the same at once wait for each other and never in a circle.
SETTLE: LiteralString = """
WITH settled AS (
    INSERT INTO register (school_id, lesson_id, settled_at)
    SELECT %(school_id)s, lesson_id, %(settled_at)s
    FROM unnest(%(lesson_ids)s::uuid[]) AS lesson (lesson_id)
    ORDER BY lesson_id
    ON CONFLICT (school_id, lesson_id) DO UPDATE
    SET settled_at = greatest(register.settled_at, excluded.settled_at)
    RETURNING lesson_id, missing_at, settled_at
)
SELECT lesson_id
FROM settled
WHERE missing_at <= settled_at
ORDER BY lesson_id
LIMIT 10000
"""


async def settle(tx: Tx, school_id: UUID, lesson_ids: Sequence[UUID], *, settled_at: datetime) -> list[UUID]:
    """Those of these lessons that were told to be missing, and are no longer."""
    wanted = sorted(set(lesson_ids))
    found = await tx.all(Settled, SETTLE, school_id=school_id, lesson_ids=wanted, settled_at=settled_at)
    return [each.lesson_id for each in found]
