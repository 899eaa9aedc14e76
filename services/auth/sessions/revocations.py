"""Telling every process that a session is over: access tokens are short-lived, but not short enough."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import redis.asyncio

from services.auth.sessions import measures
from services.auth.sessions.queries import Ended
from services.auth.settings import Settings
from shared.database import Tx

PREFIX: Final = "revoked:session:"


class Revocations:
    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.access_token_s
        self._redis: Any = redis.asyncio.from_url(settings.redis_url, socket_connect_timeout=1, socket_timeout=1)

    async def close(self) -> None:
        await self._redis.aclose()

    def tell(self, tx: Tx, ended: Sequence[Ended]) -> None:
        """Once `tx` is committed. What Redis misses, the worker tells again from the table."""

        async def now() -> None:
            measures.observe(each.seconds for each in ended)
            await self.tell_now([each.session_id for each in ended])

        if ended:
            tx.after_commit(now)

    async def tell_now(self, session_ids: Sequence[UUID]) -> None:
        """For as long as an access token of theirs can live."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for session_id in session_ids:
                pipeline.set(f"{PREFIX}{session_id}", "1", ex=self._seconds)
            await pipeline.execute()
