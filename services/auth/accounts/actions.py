"""The first platform admin."""

import structlog

from services.auth import emails
from services.auth.accounts import queries
from services.auth.accounts.schemas import Account
from services.auth.kit import Kit
from shared import clock
from shared.database import Database
from shared.ids import new_id

log = structlog.get_logger()


async def bootstrap(database: Database, kit: Kit) -> None:
    """Make the platform admin of the settings, unless there is one; the first thing they do is change the password."""
    settings = kit.settings
    if not (settings.bootstrap_email and settings.bootstrap_password):
        return
    admin = Account(
        user_id=new_id(),
        email=settings.bootstrap_email.strip(),
        email_normalised=emails.normalised(settings.bootstrap_email),
        name="Platform admin",
        password_hash=await kit.passwords.hash(settings.bootstrap_password),
        must_change_password=True,
        is_platform_admin=True,
        is_active=True,
    )
    async with database.transaction() as tx:
        if not await queries.has_platform_admin(tx) and await queries.add_account(tx, admin, created_at=clock.now()):
            log.info("platform_admin_made")
