"""One Redis connection for the hot path: all commands of a moment go out in one write (ADR 0602).

A twelfth of redis-py's cost for each command. It never waits for a Redis that is gone or frozen: after the first
time-out commands fail at once, until the connection, tried again in the background, answers in time.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import hiredis
import structlog

log = structlog.get_logger()

WAITING_AT_MOST: Final = 20_000
RECONNECT_S: Final = 0.5
SECOND_LOOK_S: Final = 0.002

Argument = str | bytes | int

# Its stub speaks of commands of one word.
pack_command: Callable[[tuple[Argument, ...]], bytes] = cast("Any", hiredis).pack_command


class RedisDown(Exception):
    """No answer from Redis, or not in time."""


class RedisPipe:
    """Connects when first used. Commands of cancelled tasks keep their place, so that replies never shift."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = urlsplit(url)
        self._timeout_s = timeout_s
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._was_tried = False
        self._is_known_down = False

    async def execute(self, *command: Argument) -> Any:
        """The reply. Raises RedisDown, hiredis.ReplyError for an answer that is an error."""
        if self._wire is None or not self._wire.is_open:
            await self._connect_soon()
        if self._wire is None or not self._wire.is_open:
            raise RedisDown("not connected")
        return await self._wire.execute(command)

    async def is_ready(self) -> bool:
        try:
            return await self.execute("PING") == b"PONG"
        except (RedisDown, hiredis.ReplyError):
            return False

    async def close(self) -> None:
        if self._connecting:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError):
                await self._connecting
        if self._wire:
            self._wire.break_off(RedisDown("closed"))

    async def _connect_soon(self) -> None:
        """Waits for the very first attempt only; later ones go on in the background."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        if not self._was_tried:
            await asyncio.wait({self._connecting}, timeout=self._timeout_s)

    async def _connect(self) -> None:
        if self._was_tried:
            await asyncio.sleep(RECONNECT_S)
        try:
            async with asyncio.timeout(self._timeout_s):
                wire = await self._opened()
                await self._introduce(wire)
        except (OSError, TimeoutError, RedisDown, hiredis.ReplyError) as error:
            if not self._is_known_down:
                log.warning("redis_unreachable", error=type(error).__name__)
            self._is_known_down = True
        else:
            self._wire = wire
            self._is_known_down = False
        finally:
            self._was_tried = True

    async def _opened(self) -> "_Wire":
        context = ssl.create_default_context() if self._url.scheme == "rediss" else None
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: _Wire(self._timeout_s), self._url.hostname or "127.0.0.1", self._url.port or 6379, ssl=context
        )
        return wire

    async def _introduce(self, wire: "_Wire") -> None:
        password, database = unquote(self._url.password or ""), self._url.path.strip("/")
        try:
            if password:
                user = unquote(self._url.username or "") or "default"
                await wire.execute(("AUTH", user, password))
            if database:
                await wire.execute(("SELECT", database))
            await wire.execute(("PING",))
        except BaseException:
            wire.break_off(RedisDown("no introduction"))
            raise


class _Wire(asyncio.Protocol):
    def __init__(self, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader()
        self._unsent: list[bytes] = []
        self._replies: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.is_open = True

    async def execute(self, command: tuple[Argument, ...]) -> Any:
        if not self.is_open or len(self._replies) >= WAITING_AT_MOST:
            raise RedisDown("not open" if not self.is_open else "too many wait")
        if not self._unsent:
            self._loop.call_soon(self._flush)
        packed: bytes = pack_command(command)
        self._unsent.append(packed)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._replies.append((reply, self._loop.time() + self._timeout_s))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_s, self._look)
        return await reply

    def _flush(self) -> None:
        if self.is_open:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _look(self, oldest: asyncio.Future[Any] | None = None) -> None:
        """One timer for all: the oldest command tells when somebody has waited too long.

        It gets a second look, after what arrived was read: perhaps it was this process that was held up.
        """
        self._watch = None
        if not self._replies:
            return
        reply, ends_at = self._replies[0]
        left_s = ends_at - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
        elif reply is oldest:
            self.break_off(RedisDown("no reply in time"))
        else:
            self._watch = self._loop.call_later(SECOND_LOOK_S, self._look, reply)

    def break_off(self, error: RedisDown) -> None:
        self.is_open = False
        self._transport.abort()
        if self._watch:
            self._watch.cancel()
        while self._replies:
            reply, _ = self._replies.popleft()
            if not reply.done():
                reply.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        self.break_off(RedisDown("the connection was lost"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._answer(reply)
        except hiredis.ProtocolError:
            self.break_off(RedisDown("not the Redis protocol"))

    def _answer(self, reply: Any) -> None:
        if not self._replies:
            self.break_off(RedisDown("a reply that nobody asked for"))
            return
        future, _ = self._replies.popleft()
        if future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(reply)
        else:
            future.set_result(reply)
