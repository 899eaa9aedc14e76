"""What must be there before the first sign-in: a key to sign with and somebody to sign in."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import structlog
from litestar import Litestar
from psycopg import Error

from services.auth.accounts.actions import bootstrap
from services.auth.keys.actions import keep_keys
from services.auth.kit import Kit
from shared.database import Database
from shared.problems import Unavailable
from shared.web.app import Resource

log = structlog.get_logger()

RETRY_S = 1.0


async def prepare(database: Database, kit: Kit) -> bool:
    """Once for all processes, whichever comes first; whether it is done."""
    try:
        await keep_keys(database, kit)
        await bootstrap(database, kit)
    except (Error, Unavailable) as error:
        log.warning("not_prepared", error=type(error).__name__)
        return False
    return True


def prepared(kit: Kit) -> Resource:
    """Try at the start, and go on in the background while the database is away."""

    @asynccontextmanager
    async def opened(app: Litestar) -> AsyncGenerator[None]:
        preparing = None
        if not await prepare(app.state.database, kit):
            preparing = asyncio.create_task(_until_prepared(app.state.database, kit))
        yield
        if preparing:
            preparing.cancel()
            with suppress(asyncio.CancelledError):
                await preparing
        await kit.close()

    return opened


async def _until_prepared(database: Database, kit: Kit) -> None:
    while True:
        await asyncio.sleep(RETRY_S)
        if await prepare(database, kit):
            return
