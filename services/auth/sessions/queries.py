"""Sessions, and every refresh token they ever had."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from services.auth.sessions.schemas import PresentedToken, Session
from shared.database import Reader, Tx


class Id(msgspec.Struct, frozen=True):
    session_id: UUID


class Ended(msgspec.Struct, frozen=True):
    session_id: UUID
    seconds: float
    """From sign-in to now."""


class Pruned(msgspec.Struct, frozen=True):
    session_id: UUID
    seconds: float | None
    """From sign-in to the last refresh; None for a session that was ended, and counted then."""


ADD_SESSION = """
-- unscoped: a session belongs to a login, which belongs to no school.
INSERT INTO session (session_id, user_id, membership_id, generation, sealed_token, created_at, used_at)
VALUES (%(session_id)s, %(user_id)s, %(membership_id)s, %(generation)s, %(sealed_token)s, %(used_at)s, %(used_at)s)
"""


async def add_session(tx: Tx, session: Session) -> None:
    await tx.execute(ADD_SESSION, **msgspec.structs.asdict(session))


ADD_REFRESH = """
-- unscoped: as above.
INSERT INTO refresh_token (token_hash, session_id, generation)
VALUES (%(token_hash)s, %(session_id)s, %(generation)s)
"""


async def add_refresh_token(tx: Tx, token_hash: str, *, session_id: UUID, generation: int) -> None:
    await tx.execute(ADD_REFRESH, token_hash=token_hash, session_id=session_id, generation=generation)


# Who waits for the lock reads the session as the other left it.
LOCK_SESSION = """
-- unscoped: as above.
SELECT session.session_id, session.user_id, session.membership_id, session.generation, session.sealed_token,
       session.used_at, session.revoked_at, refresh_token.generation AS presented_generation
FROM refresh_token
JOIN session ON session.session_id = refresh_token.session_id
WHERE refresh_token.token_hash = %(token_hash)s
FOR UPDATE OF session
"""


async def lock_session_of_token(tx: Tx, token_hash: str) -> PresentedToken | None:
    return await tx.one(PresentedToken, LOCK_SESSION, token_hash=token_hash)


ROTATE = """
-- unscoped: as above.
UPDATE session
SET generation = %(generation)s, sealed_token = %(sealed_token)s, used_at = %(now)s
WHERE session_id = %(session_id)s
"""


async def rotate(tx: Tx, session_id: UUID, *, generation: int, sealed_token: str, now: datetime) -> None:
    await tx.execute(ROTATE, session_id=session_id, generation=generation, sealed_token=sealed_token, now=now)


CHOOSE = """
-- unscoped: as above.
UPDATE session
SET membership_id = %(membership_id)s
WHERE session_id = %(session_id)s
"""


async def choose_membership(tx: Tx, session_id: UUID, membership_id: UUID) -> None:
    await tx.execute(CHOOSE, session_id=session_id, membership_id=membership_id)


LIVE_SESSION = """
-- unscoped: as above.
SELECT session_id, user_id, membership_id, generation, sealed_token, used_at, revoked_at
FROM session
WHERE session_id = %(session_id)s
  AND user_id = %(user_id)s
  AND revoked_at IS NULL
"""


async def live_session(reader: Reader, session_id: UUID, *, user_id: UUID) -> Session | None:
    return await reader.one(Session, LIVE_SESSION, session_id=session_id, user_id=user_id)


IS_LIVE = """
-- unscoped: as above. Uses the primary keys.
SELECT EXISTS (
    SELECT 1
    FROM session
    JOIN account ON account.user_id = session.user_id
    WHERE session.session_id = %(session_id)s
      AND session.user_id = %(user_id)s
      AND session.revoked_at IS NULL
      AND account.is_active
) AS is_live
"""


async def is_live(reader: Reader, session_id: UUID, *, user_id: UUID) -> bool:
    return bool(await reader.value(bool, IS_LIVE, session_id=session_id, user_id=user_id))


REVOKE = """
-- unscoped: as above.
UPDATE session
SET revoked_at = %(now)s
WHERE session_id = %(session_id)s
  AND revoked_at IS NULL
RETURNING session_id, extract(epoch FROM %(now)s - created_at)::float8 AS seconds
"""


async def revoke(tx: Tx, session_id: UUID, *, now: datetime) -> list[Ended]:
    """The sessions that were ended, here and below."""
    return await tx.all(Ended, REVOKE, session_id=session_id, now=now)


REVOKE_OF_USER = """
-- unscoped: as above. Uses session_account.
UPDATE session
SET revoked_at = %(now)s
WHERE user_id = %(user_id)s
  AND revoked_at IS NULL
RETURNING session_id, extract(epoch FROM %(now)s - created_at)::float8 AS seconds
"""


async def revoke_of_user(tx: Tx, user_id: UUID, *, now: datetime) -> list[Ended]:
    return await tx.all(Ended, REVOKE_OF_USER, user_id=user_id, now=now)


REVOKE_OF_MEMBERSHIPS = """
-- unscoped: as above. Uses session_membership.
UPDATE session
SET revoked_at = %(now)s
WHERE membership_id = ANY(%(membership_ids)s::uuid[])
  AND revoked_at IS NULL
RETURNING session_id, extract(epoch FROM %(now)s - created_at)::float8 AS seconds
"""


async def revoke_of_memberships(tx: Tx, membership_ids: Sequence[UUID], *, now: datetime) -> list[Ended]:
    return await tx.all(Ended, REVOKE_OF_MEMBERSHIPS, membership_ids=list(membership_ids), now=now)


REVOKED_SINCE = """
-- unscoped: as above. Uses session_revoked.
SELECT session_id
FROM session
WHERE revoked_at >= %(since)s
ORDER BY revoked_at DESC, session_id
LIMIT 20000
"""


async def revoked_since(reader: Reader, since: datetime) -> list[UUID]:
    return _ids(await reader.all(Id, REVOKED_SINCE, since=since))


PRUNE_SESSIONS = """
-- unscoped: as above. Uses session_used.
DELETE FROM session
WHERE session_id IN (
    SELECT session_id
    FROM session
    WHERE used_at < %(before)s
    ORDER BY used_at
    LIMIT 1000
)
RETURNING session_id, CASE WHEN revoked_at IS NULL THEN extract(epoch FROM used_at - created_at)::float8 END AS seconds
"""


async def prune_sessions(tx: Tx, before: datetime) -> list[Pruned]:
    """Their refresh tokens go with them."""
    return await tx.all(Pruned, PRUNE_SESSIONS, before=before)


COUNT_ACTIVE = """
-- unscoped: as above. Uses session_used.
SELECT count(*)
FROM session
WHERE used_at >= %(since)s
  AND revoked_at IS NULL
"""


async def count_active(reader: Reader, since: datetime) -> int:
    """Sessions whose tokens were refreshed since then, or that began since."""
    return await reader.value(int, COUNT_ACTIVE, since=since) or 0


def _ids(rows: Sequence[Id]) -> list[UUID]:
    return [row.session_id for row in rows]
