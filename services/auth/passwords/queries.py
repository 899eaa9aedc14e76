"""Requests of new passwords, and the codes that allow one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from services.auth.passwords.schemas import Reset, Wanted
from shared.database import Reader, Tx

ADD_REQUEST = """
-- unscoped: a login belongs to no school.
INSERT INTO password_reset_request (request_id, email_normalised, requested_at)
VALUES (%(request_id)s, %(email_normalised)s, %(now)s)
"""


async def add_request(tx: Tx, request_id: UUID, *, email_normalised: str, now: datetime) -> None:
    await tx.execute(ADD_REQUEST, request_id=request_id, email_normalised=email_normalised, now=now)


# Two who answer one mailbox at once would not see each other's codes, and leave both good.
LOCK_ANSWERS = """
SELECT pg_advisory_xact_lock(hashtext('auth.reset_answers'))
"""

TAKE_REQUESTS = """
-- unscoped: as above.
WITH taken AS (
    DELETE FROM password_reset_request
    WHERE request_id IN (
        SELECT request_id
        FROM password_reset_request
        ORDER BY request_id
        LIMIT 100
        FOR UPDATE SKIP LOCKED
    )
    RETURNING email_normalised
)
SELECT DISTINCT account.user_id, account.email
FROM taken
JOIN account ON account.email_normalised = taken.email_normalised
WHERE account.is_active
ORDER BY account.user_id
"""


async def take_requests(tx: Tx) -> list[Wanted]:
    """The logins that were asked for, each once; addresses that nobody has are forgotten.

    Whoever takes next waits for the end of this transaction.
    """
    await tx.execute(LOCK_ANSWERS)
    return await tx.all(Wanted, TAKE_REQUESTS)


ADD_RESET = """
-- unscoped: as above.
INSERT INTO password_reset (reset_id, user_id, code_hash, expires_at)
VALUES (%(reset_id)s, %(user_id)s, %(code_hash)s, %(expires_at)s)
"""


async def add_resets(tx: Tx, resets: Sequence[Reset]) -> None:
    await tx.execute_many(ADD_RESET, [msgspec.structs.asdict(reset) for reset in resets])


RESET = """
-- unscoped: as above.
SELECT reset_id, user_id, code_hash, expires_at
FROM password_reset
WHERE code_hash = %(code_hash)s
  AND expires_at > %(now)s
"""


async def open_reset(reader: Reader, code_hash: str, *, now: datetime) -> Reset | None:
    return await reader.one(Reset, RESET, code_hash=code_hash, now=now)


USE_RESET = """
-- unscoped: as above.
DELETE FROM password_reset
WHERE reset_id = %(reset_id)s
"""


async def use_reset(tx: Tx, reset_id: UUID) -> bool:
    """True for exactly one of those who come with the same code."""
    return await tx.execute(USE_RESET, reset_id=reset_id) == 1


FORGET_RESETS = """
-- unscoped: as above. Uses password_reset_user.
DELETE FROM password_reset
WHERE user_id = ANY(%(user_ids)s::uuid[])
"""


async def forget_resets(tx: Tx, user_ids: Sequence[UUID]) -> None:
    await tx.execute(FORGET_RESETS, user_ids=list(user_ids))


PRUNE_RESETS = """
-- unscoped: as above. Uses password_reset_expires.
DELETE FROM password_reset
WHERE expires_at < %(now)s
"""


async def prune_resets(tx: Tx, now: datetime) -> None:
    await tx.execute(PRUNE_RESETS, now=now)
