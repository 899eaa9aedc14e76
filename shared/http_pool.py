"""HTTP/1.1 to one upstream: a pool of connections around httptools, as thin as asyncio allows (ADR 0601).

It trusts no upstream: an answer whose end is not certain is refused, its head is bounded, and bytes that nobody asked
for close the connection instead of becoming the next answer.
"""

import asyncio
import ssl
from collections.abc import Hashable
from typing import Final
from urllib.parse import urlsplit

from shared.http_wire import (
    BadAnswer,
    Body,
    ConnectFailed,
    Connection,
    ConnectionBroken,
    PoolFull,
    PoolLimits,
    Request,
    TimedOut,
    UpstreamError,
)
from shared.places import NoPlace, Places

__all__ = [
    "Answer",
    "BadAnswer",
    "Body",
    "ConnectFailed",
    "ConnectionBroken",
    "Pool",
    "PoolFull",
    "PoolLimits",
    "Request",
    "TimedOut",
    "UpstreamError",
]

RETRY_SHARE: Final = 0.1
"""Retries are at most this part of all requests, so that they never add to an overload (a few are always saved up)."""
RETRIES_SAVED: Final = 10.0


class Answer:
    """An answer whose body is read part by part. Must be closed; closing it early aborts the exchange."""

    def __init__(self, pool: "Pool", connection: Connection, whose: Hashable) -> None:
        self.status = connection.status
        self.headers = connection.headers
        self._pool = pool
        self._connection: Connection | None = connection
        self._whose = whose
        self._has_place = True

    async def read(self, timeout_s: float | None = None) -> bytes:
        """The next part of the body, b"" at its end. `timeout_s` bounds the silence. Raises UpstreamError."""
        return await self._connection.read(timeout_s) if self._connection else b""

    @property
    def is_read(self) -> bool:
        """Whether the body is known to have no further part."""
        return self._connection is None or self._connection.is_read

    async def read_all(self, *, limit_bytes: int, timeout_s: float | None = None) -> bytes:
        """The whole body. Raises UpstreamError, BadAnswer when it is larger than `limit_bytes`."""
        parts = bytearray()
        while part := await self.read(timeout_s):
            parts += part
            if len(parts) > limit_bytes:
                raise BadAnswer("the body is too large")
        return bytes(parts)

    def leave_place(self) -> None:
        """Let another request have its place in the pool: it is read for hours. Its connection ends with it."""
        if self._connection and self._has_place:
            self._has_place = False
            self._pool.places.give_back(self._whose)

    def close(self) -> None:
        if self._connection is None:
            return
        if self._has_place:
            self._pool.take_back(self._connection, self._whose)
        else:
            self._connection.abort()
        self._connection = None


class Pool:
    """Connections to the host and port of `url`; lives in one event loop."""

    def __init__(self, url: str, limits: PoolLimits | None = None) -> None:
        parts = urlsplit(url)
        assert parts.scheme in {"http", "https"}
        assert parts.hostname
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._limits = limits or PoolLimits()
        self._idle: list[Connection] = []
        self._retries_saved = RETRIES_SAVED
        self._is_closed = False
        self.places = Places(self._limits.connections, each=self._limits.each, room=self._limits.waiting)
        self.authority = parts.netloc.rpartition("@")[2].encode()

    async def request(self, request: Request, *, timeout_s: float, whose: Hashable = None) -> Answer:
        """The head of the answer, within `timeout_s`. Raises UpstreamError, ValueError for an unsendable header.

        Each of those whose requests wait for a connection has one in turn.
        """
        ends_at = asyncio.get_running_loop().time() + timeout_s
        try:
            await self.places.take(whose, min(timeout_s, self._limits.wait_s))
        except NoPlace as error:
            raise PoolFull(str(error)) from None
        self._retries_saved = min(RETRIES_SAVED, self._retries_saved + RETRY_SHARE)
        try:
            connection = self._idle_connection() or await self._opened(_left_s(ends_at))
            try:
                await self._exchange(connection, request, _left_s(ends_at))
            except ConnectionBroken:
                if not self._may_retry(connection, request):
                    raise
                connection = await self._opened(_left_s(ends_at))
                await self._exchange(connection, request, _left_s(ends_at))
        except BaseException:
            self.places.give_back(whose)
            raise
        return Answer(self, connection, whose)

    async def _exchange(self, connection: Connection, request: Request, timeout_s: float) -> None:
        try:
            await connection.exchange(request, timeout_s)
        except BaseException:
            connection.abort()
            raise

    def _may_retry(self, connection: Connection, request: Request) -> bool:
        """Once, on a kept connection that was dead before it answered anything, when doing it twice does no harm."""
        if not (connection.is_used and request.is_idempotent and isinstance(request.body, bytes)):
            return False
        if connection.received_bytes or self._retries_saved < 1:
            return False
        self._retries_saved -= 1
        return True

    def take_back(self, connection: Connection, whose: Hashable) -> None:
        if connection.end() and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.abort()
        self.places.give_back(whose)

    def close(self) -> None:
        """Close the idle connections; busy ones close when they are done."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().abort()

    def _idle_connection(self) -> Connection | None:
        """The one used last, so that the others may end."""
        oldest = asyncio.get_running_loop().time() - self._limits.idle_s
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _opened(self, timeout_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(min(timeout_s, self._limits.connect_s)):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._limits), self._host, self._port, ssl=self._ssl
                )
        except (OSError, TimeoutError) as error:
            raise ConnectFailed(f"{self._host}:{self._port}: {type(error).__name__}") from error
        return connection


def _left_s(ends_at: float) -> float:
    return max(0.0, ends_at - asyncio.get_running_loop().time())
