"""Which announcements were withdrawn, and how the others read by now."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from services.notification.announcements.schemas import Known
from shared.contracts.communication import AnnouncementChanged
from shared.database import Tx

BEGIN: LiteralString = """
INSERT INTO announcement (school_id, announcement_id)
VALUES (%(school_id)s, %(announcement_id)s)
ON CONFLICT (school_id, announcement_id) DO NOTHING
"""

# Shared: the parts of one announcement do not wait for each other, only for its being changed or withdrawn.
LOCK: LiteralString = """
SELECT version, withdrawn_at IS NOT NULL AS is_withdrawn, edition, title, body, expires_at
FROM announcement
WHERE school_id = %(school_id)s
  AND announcement_id = %(announcement_id)s
FOR SHARE
"""


async def known(tx: Tx, school_id: UUID, announcement_id: UUID) -> Known:
    """What was heard of it; it stays so until the transaction ends."""
    await tx.execute(BEGIN, school_id=school_id, announcement_id=announcement_id)
    found = await tx.one(Known, LOCK, school_id=school_id, announcement_id=announcement_id)
    assert found is not None
    return found


TAKE_IN: LiteralString = """
INSERT INTO announcement (school_id, announcement_id, version, edition, title, body, expires_at)
VALUES (
    %(school_id)s, %(announcement_id)s, %(version)s, %(edition)s, %(title)s, %(body)s, %(expires_at)s
)
ON CONFLICT (school_id, announcement_id) DO UPDATE
SET version = excluded.version,
    edition = excluded.edition,
    title = excluded.title,
    body = excluded.body,
    expires_at = excluded.expires_at
WHERE excluded.version > announcement.version
"""


async def take_in(tx: Tx, school_id: UUID, event: AnnouncementChanged, *, version: int) -> bool:
    """False for what says less than was heard already; no part of it is told meanwhile, until the tx ends."""
    taken = await tx.execute(
        TAKE_IN,
        school_id=school_id,
        announcement_id=event.announcement_id,
        version=version,
        edition=event.edition,
        title=event.title,
        body=event.body,
        expires_at=event.expires_at,
    )
    return taken > 0


WITHDRAW: LiteralString = """
INSERT INTO announcement (school_id, announcement_id, withdrawn_at)
VALUES (%(school_id)s, %(announcement_id)s, %(withdrawn_at)s)
ON CONFLICT (school_id, announcement_id) DO UPDATE
SET withdrawn_at = excluded.withdrawn_at
"""


async def withdraw(tx: Tx, school_id: UUID, announcement_id: UUID, *, withdrawn_at: datetime) -> None:
    """Also one that was not heard of yet."""
    await tx.execute(WITHDRAW, school_id=school_id, announcement_id=announcement_id, withdrawn_at=withdrawn_at)
