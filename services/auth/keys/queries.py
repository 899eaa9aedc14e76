"""The keys that sign tokens."""

from datetime import datetime

import msgspec

from services.auth.keys.schemas import SigningKey
from shared.database import Reader, Tx

SIGNING_KEYS = """
-- unscoped: the keys of the whole platform.
SELECT kid, public_key, sealed_private_key, created_at
FROM signing_key
ORDER BY created_at, kid
LIMIT 100
"""


async def signing_keys(reader: Reader) -> list[SigningKey]:
    return await reader.all(SigningKey, SIGNING_KEYS)


LOCK_KEYS = """
SELECT pg_advisory_xact_lock(hashtext('auth.signing_key'))
"""


async def lock_keys(tx: Tx) -> None:
    """One process at a time decides whether a key is missing."""
    await tx.execute(LOCK_KEYS)


ADD_SIGNING_KEY = """
-- unscoped: as above.
INSERT INTO signing_key (kid, public_key, sealed_private_key, created_at)
VALUES (%(kid)s, %(public_key)s, %(sealed_private_key)s, %(created_at)s)
"""


async def add_signing_key(tx: Tx, key: SigningKey) -> None:
    await tx.execute(ADD_SIGNING_KEY, **msgspec.structs.asdict(key))


RETIRE_KEYS = """
-- unscoped: as above.
DELETE FROM signing_key
WHERE created_at < %(before)s
"""


async def retire_keys(tx: Tx, before: datetime) -> int:
    return await tx.execute(RETIRE_KEYS, before=before)
