"""Logins. They belong to no school."""

from datetime import datetime
from uuid import UUID

import msgspec

from services.auth.accounts.schemas import Account
from shared.database import Reader, Tx

ACCOUNT_BY_EMAIL = """
-- unscoped: a login belongs to no school.
SELECT user_id, email, email_normalised, name, password_hash, must_change_password, is_platform_admin, is_active
FROM account
WHERE email_normalised = %(email_normalised)s
"""


async def account_by_email(reader: Reader, email_normalised: str) -> Account | None:
    return await reader.one(Account, ACCOUNT_BY_EMAIL, email_normalised=email_normalised)


ACCOUNT = """
-- unscoped: as above.
SELECT user_id, email, email_normalised, name, password_hash, must_change_password, is_platform_admin, is_active
FROM account
WHERE user_id = %(user_id)s
"""


async def account(reader: Reader, user_id: UUID) -> Account | None:
    return await reader.one(Account, ACCOUNT, user_id=user_id)


ACCOUNT_UNCHANGED = """
-- unscoped: as above.
SELECT user_id, email, email_normalised, name, password_hash, must_change_password, is_platform_admin, is_active
FROM account
WHERE user_id = %(user_id)s
  AND password_hash = %(password_hash)s
  AND is_active
FOR NO KEY UPDATE
"""


async def account_unchanged(tx: Tx, user_id: UUID, *, password_hash: str) -> Account | None:
    """The active login, if its password is still the one that was checked; held until the transaction ends."""
    return await tx.one(Account, ACCOUNT_UNCHANGED, user_id=user_id, password_hash=password_hash)


ADD_ACCOUNT = """
-- unscoped: as above.
INSERT INTO account (
    user_id, email, email_normalised, name, password_hash, must_change_password, is_platform_admin, is_active,
    created_at
)
VALUES (
    %(user_id)s, %(email)s, %(email_normalised)s, %(name)s, %(password_hash)s, %(must_change_password)s,
    %(is_platform_admin)s, %(is_active)s, %(created_at)s
)
ON CONFLICT (email_normalised) DO NOTHING
"""


async def add_account(tx: Tx, account: Account, *, created_at: datetime) -> bool:
    """False when somebody else has made a login of that address in the meantime."""
    return await tx.execute(ADD_ACCOUNT, **msgspec.structs.asdict(account), created_at=created_at) == 1


SAVE_HASH = """
-- unscoped: as above.
UPDATE account
SET password_hash = %(password_hash)s, must_change_password = false
WHERE user_id = %(user_id)s
"""


async def set_password(tx: Tx, user_id: UUID, *, password_hash: str) -> None:
    await tx.execute(SAVE_HASH, user_id=user_id, password_hash=password_hash)


LOCK_BOOTSTRAP = """
SELECT pg_advisory_xact_lock(hashtext('auth.bootstrap'))
"""

HAS_PLATFORM_ADMIN = """
-- unscoped: as above.
SELECT EXISTS (SELECT 1 FROM account WHERE is_platform_admin)
"""


async def has_platform_admin(tx: Tx) -> bool:
    """Whoever asks next waits for the end of this transaction."""
    await tx.execute(LOCK_BOOTSTRAP)
    return bool(await tx.value(bool, HAS_PLATFORM_ADMIN))
