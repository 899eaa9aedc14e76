"""What was answered to a key: claimed, kept and told again (ADR 0201). The web side is `shared.web.idempotency`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
from psycopg.errors import LockNotAvailable

from shared import clock
from shared.database import Database, Tx, switch_school
from shared.problems import Conflict, Invalid

KEPT: Final = timedelta(hours=24)
NO_SCHOOL: Final = UUID(int=0)


class StillRunning(Conflict):
    slug = "request-still-running"
    title = "The first request with this key is still running"


class KeyReused(Invalid):
    slug = "idempotency-key-reused"
    title = "This key was sent with another request"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Whose key it is, and for what. `fingerprint` tells requests apart that should not have the same key."""

    school_id: UUID
    user_id: UUID
    operation: str
    key: str
    fingerprint: bytes

    @property
    def name(self) -> tuple[UUID, UUID, str, str]:
        return (self.school_id, self.user_id, self.operation, self.key)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


class AlreadyAnswered(Conflict):
    """Another process was faster; `answer` is what it said."""

    slug = "already-answered"
    title = "The first request with this key was answered"

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Row(msgspec.Struct, frozen=True, kw_only=True):
    fingerprint: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes


# Uses the primary key.
ANSWER = """
SELECT fingerprint, status, headers, body
FROM idempotency
WHERE school_id = %(school_id)s
AND user_id = %(user_id)s
AND operation = %(operation)s
AND key = %(key)s
AND expires_at > %(now)s
"""

# Waits for another transaction that has claimed the same key, until that commits or gives it up.
CLAIM = """
INSERT INTO idempotency (school_id, user_id, operation, key, fingerprint, expires_at)
VALUES (%(school_id)s, %(user_id)s, %(operation)s, %(key)s, %(fingerprint)s, %(expires_at)s)
ON CONFLICT (school_id, user_id, operation, key) DO UPDATE
SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL
WHERE idempotency.expires_at <= %(now)s
"""

KEEP = """
UPDATE idempotency
SET status = %(status)s, headers = %(headers)s::jsonb, body = %(body)s
WHERE school_id = %(school_id)s
AND user_id = %(user_id)s
AND operation = %(operation)s
AND key = %(key)s
"""

# -- unscoped: the policy `over` picks what may go. A WHERE would need to read, and nobody reads across schools.
FORGET = """
DELETE FROM idempotency
"""

# A second process waits here for the first; what the handler does later has the limits that it always has.
BE_IMPATIENT = "SET LOCAL lock_timeout = '1s'"
BE_PATIENT = "SET LOCAL lock_timeout TO DEFAULT"


async def answer_of(database: Database, claim: Claim) -> Answer | None:
    """What was answered before. Raises KeyReused when that was another request."""
    reader = database.reader(school_id=claim.school_id, is_fresh=True)
    return _answer(await reader.one(Row, ANSWER, **_named(claim), now=clock.now()), claim)


async def take(tx: Tx, claim: Claim) -> None:
    """Claim the key for this transaction. Raises StillRunning, AlreadyAnswered, KeyReused."""
    now = clock.now()
    await tx.execute(BE_IMPATIENT)
    try:
        is_ours = await tx.execute(
            CLAIM, **_named(claim), fingerprint=claim.fingerprint, now=now, expires_at=now + KEPT
        )
    except LockNotAvailable:
        raise still_running() from None
    await tx.execute(BE_PATIENT)
    if not is_ours:
        answer = _answer(await tx.one(Row, ANSWER, **_named(claim), now=now), claim)
        raise AlreadyAnswered(answer) if answer else still_running()


async def keep(tx: Tx, claim: Claim, answer: Answer) -> None:
    """Remember the answer, in the transaction of what it tells of."""
    await switch_school(tx, claim.school_id)
    headers = msgspec.json.encode(answer.headers).decode()
    await tx.execute(KEEP, **_named(claim), status=answer.status, headers=headers, body=answer.body)


async def forget_old(database: Database) -> None:
    """Delete what is over, in all schools."""
    async with database.transaction() as tx:
        await tx.execute(FORGET)


def still_running() -> StillRunning:
    return StillRunning("Send it again in a moment.", headers={"Retry-After": "1"})


def _answer(row: Row | None, claim: Claim) -> Answer | None:
    if row is None:
        return None
    if row.fingerprint != claim.fingerprint:
        raise KeyReused("A key names one request: send the same again, or choose another key.")
    return Answer(status=row.status, headers=row.headers, body=row.body)


def _named(claim: Claim) -> dict[str, object]:
    return {
        "school_id": claim.school_id,
        "user_id": claim.user_id,
        "operation": claim.operation,
        "key": claim.key,
    }
