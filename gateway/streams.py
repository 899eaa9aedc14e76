"""The event streams that are open: they go on for hours, so they are counted by themselves.

A request of a session that is over is refused by the limiter. A stream was admitted before: one task asks Redis now and
then whose session has ended, and ends their streams, so that their readers come again and are refused too (ADR 0602).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import hiredis
import structlog
from prometheus_client import Gauge

from gateway.client import ClientWatch
from gateway.limits import revocation
from shared import problems
from shared.cancellation import stop_if_cancelled
from shared.identity import Caller
from shared.redis_pipe import RedisDown, RedisPipe

log = structlog.get_logger()

OPEN_STREAMS: Final = Gauge("homeroom_open_streams", "Event streams that are open through this gateway.")
RETRY_AFTER: Final = {"Retry-After": "10"}
ASKED_EVERY_S: Final = 2.0
ASKED_AT_ONCE: Final = 250
"""Streams in one question, so that no request waits behind a long one."""


class Streams:
    """At most `limit` at once, and `per_reader` of one person, whose open pages each have one."""

    def __init__(self, *, limit: int, per_reader: int) -> None:
        self._limit = limit
        self._per_reader = per_reader
        self._readers: Counter[str] = Counter()
        self._open: dict[ClientWatch, Caller | None] = {}

    @contextmanager
    def opened(self, reader: str, watch: ClientWatch, caller: Caller | None) -> Generator[None]:
        """Raises TooManyRequests, Unavailable."""
        if self._readers[reader] >= self._per_reader:
            raise problems.TooManyRequests(
                f"{self._per_reader} streams at once are allowed. Close one.", headers=RETRY_AFTER
            )
        if len(self._open) >= self._limit:
            raise problems.Unavailable("Too many streams are open.", headers=RETRY_AFTER)
        self._readers[reader] += 1
        self._open[watch] = caller
        try:
            with OPEN_STREAMS.track_inprogress():
                yield
        finally:
            del self._open[watch]
            self._readers[reader] -= 1
            if not self._readers[reader]:
                del self._readers[reader]

    def end_all(self) -> None:
        """They never end by themselves; their readers come again, to a gateway that stays."""
        for watch in tuple(self._open):
            watch.cancel()

    @asynccontextmanager
    async def ended_with_sessions(self, redis: RedisPipe) -> AsyncGenerator[None]:
        ending = asyncio.create_task(self._end_again_and_again(redis))
        try:
            yield
        finally:
            ending.cancel()
            with suppress(asyncio.CancelledError):
                await ending

    async def _end_again_and_again(self, redis: RedisPipe) -> None:
        while True:
            stop_if_cancelled()
            await asyncio.sleep(ASKED_EVERY_S)
            try:
                await self._end_ended(redis)
            except (RedisDown, hiredis.ReplyError) as error:
                # Streams go on, as requests do.
                log.debug("sessions_not_asked", error=type(error).__name__)

    async def _end_ended(self, redis: RedisPipe) -> None:
        signed_in = [(watch, caller) for watch, caller in self._open.items() if caller]
        for first in range(0, len(signed_in), ASKED_AT_ONCE):
            batch = signed_in[first : first + ASKED_AT_ONCE]
            keys = [key for _, caller in batch for key in revocation(caller)[:2]]
            found = await redis.execute("MGET", *keys)
            for (watch, caller), session, since in zip(batch, found[::2], found[1::2], strict=True):
                # Who has left meanwhile is past being cancelled.
                if watch in self._open and _is_over(session, since, caller.issued_at):
                    watch.cancel()


def _is_over(session: bytes | None, since: bytes | None, issued_at: int) -> bool:
    """As the limiter's script has it: a value that is no instant ends every session of the user."""
    if session is not None or since is None:
        return session is not None
    try:
        return issued_at <= float(since)
    except ValueError:
        return True
