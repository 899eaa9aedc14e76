"""Live inboxes: told over Redis, after the commit; what is lost on the way is found again in the table.

A message names a notification by id and nothing else; each stream reads it as its own reader, so nobody is shown what
is not theirs. One subscription per process serves all its streams.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final
from uuid import UUID

import redis.asyncio
import structlog
from redis.exceptions import RedisError

from shared.cancellation import stop_if_cancelled
from shared.database import Tx

log = structlog.get_logger()

PREFIX: Final = "inbox:"
WAITING_PER_STREAM: Final = 100
RECONNECT_S: Final = 1.0
READ: Final = "read"
"""Told instead of an id when a person has read something."""

Hints = asyncio.Queue[str | None]
"""Ids of new notifications, or READ; None means: come again, something may have been missed."""


class Announcer:
    """Tells the streams of all processes what has been committed."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url)

    async def close(self) -> None:
        await self._redis.aclose()

    def announce(self, tx: Tx, school_id: UUID, hints: Iterable[tuple[UUID, str]]) -> None:
        """Tell persons (id, hint) once `tx` is committed."""
        told = list(hints)

        async def publish() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for recipient_id, hint in told:
                    pipeline.publish(channel_of(school_id, recipient_id), hint)
                await pipeline.execute()

        if told:
            tx.after_commit(publish)


class Streams:
    """The open streams of this process, by channel."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url)
        self._open: dict[str, set[Hints]] = {}
        self._is_over = False

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Streams"]:
        listening = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            self.end_all()
            await self._redis.aclose()

    @contextmanager
    def hints(self, school_id: UUID, recipient_id: UUID) -> Generator[Hints]:
        """What is told to one person while the context is open."""
        channel, waiting = channel_of(school_id, recipient_id), Hints(WAITING_PER_STREAM)
        self._open.setdefault(channel, set()).add(waiting)
        if self._is_over:
            _end(waiting)
        try:
            yield waiting
        finally:
            self._open[channel].discard(waiting)
            if not self._open[channel]:
                del self._open[channel]

    def end_all(self) -> None:
        for streams in self._open.values():
            for waiting in streams:
                _end(waiting)

    def end_for_good(self) -> None:
        """The process stops: its readers come again, and find another. Who was just on the way here does too."""
        self._is_over = True
        self.end_all()

    async def _listen(self) -> None:
        while True:
            stop_if_cancelled()
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.psubscribe(f"{PREFIX}*")
                    await self._dispatch(subscription)
            except (RedisError, OSError) as error:
                log.warning("live_inbox_interrupted", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _dispatch(self, subscription: Any) -> None:
        while True:
            stop_if_cancelled()
            message = await subscription.get_message(timeout=RECONNECT_S)
            match message:
                case {"type": "psubscribe"}:
                    # Who came before the subscription stood may have missed something.
                    self.end_all()
                case {"type": "pmessage", "channel": channel, "data": hint}:
                    self._tell(channel, hint)
                case _:
                    pass

    def _tell(self, channel: str, hint: str) -> None:
        for waiting in self._open.get(channel, ()):
            try:
                waiting.put_nowait(hint)
            except asyncio.QueueFull:
                _end(waiting)


def connect(redis_url: str) -> Any:
    return redis.asyncio.from_url(
        redis_url, decode_responses=True, socket_connect_timeout=2, socket_timeout=5, health_check_interval=15
    )


def channel_of(school_id: UUID, recipient_id: UUID) -> str:
    return f"{PREFIX}{school_id}:{recipient_id}"


def _end(waiting: Hints) -> None:
    """A stream that cannot keep up, or may have missed something, ends; its reader comes again and resumes."""
    while not waiting.empty():
        waiting.get_nowait()
    waiting.put_nowait(None)
