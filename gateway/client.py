"""The side of an exchange that faces the client: its body, and whether it still waits."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog

from gateway.headers import HeaderList
from shared import problems, telemetry
from shared.problems import Problem
from shared.web.rendering import MEDIA_TYPE, encode

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WATCH_AFTER_S: Final = 0.05
"""Most answers come sooner: only then it is worth a task to notice that the client has gone."""
DRAINED_S: Final = 2.0
CLIENT_CLOSED: Final = 499
HANG_UP: Final = (b"connection", b"close")
CLOSING_STATUSES: Final = frozenset({400, 408, 413, 414, 431})
"""Answers after which nobody can be sure where the next request begins."""


class RequestTimeout(Problem):
    status, slug, title = 408, "request-timeout", "The request took too long to arrive"


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class ClientWatch:
    """Cancels the running task when its client goes away."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._working = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self.has_cancelled = False

    def start(self) -> None:
        """Only once the body is read: a watch takes whatever else the client sends."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._watching:
            self._watching.cancel()

    def cancel(self) -> None:
        if self._working and not self.has_cancelled:
            self.has_cancelled = True
            self._working.cancel()

    def _begin(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.cancel()


class ClientBody:
    """What the client sends, counted as it comes: its own word about the length is not believed."""

    def __init__(self, receive: Receive, *, limit_bytes: int, is_read: bool) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._received_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._read_at = self._loop.time() if is_read else None

    @property
    def is_read(self) -> bool:
        return self._read_at is not None

    @property
    def read_since_s(self) -> float | None:
        """For how long all of it has been here; None: it is still coming."""
        return None if self._read_at is None else self._loop.time() - self._read_at

    async def parts(self) -> AsyncGenerator[bytes]:
        """Raises ClientGone, PayloadTooLarge."""
        while not self.is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            self._received_bytes += len(part)
            self._note(message)
            if self._received_bytes > self._limit_bytes:
                await self.refuse()
            yield part

    def _note(self, message: Message) -> None:
        if not message.get("more_body", False):
            self._read_at = self._loop.time()

    async def whole(self, *, until: float) -> bytes:
        """Raises ClientGone, PayloadTooLarge, and RequestTimeout at `until` (a time of the loop)."""
        try:
            async with asyncio.timeout_at(until):
                return b"".join([part async for part in self.parts()])
        except TimeoutError:
            raise RequestTimeout from None

    async def refuse(self) -> None:
        """Raises PayloadTooLarge, after reading a little more: who is still sending would not see the answer."""
        left = self._limit_bytes
        try:
            async with asyncio.timeout(DRAINED_S):
                while not self.is_read and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self._note(message)
        except TimeoutError:
            log.debug("body_not_drained")
        raise problems.PayloadTooLarge(f"At most {self._limit_bytes} bytes.")


async def send_problem(send: Send, problem: Problem, added: HeaderList) -> None:
    body = encode(problem)
    telemetry.PROBLEMS.labels("gateway", problem.slug).inc()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        *added,
        *([HANG_UP] if problem.status in CLOSING_STATUSES else []),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_nothing(send: Send) -> None:
    """For the log and the metrics: the client has hung up and sees none of it."""
    await send({"type": "http.response.start", "status": CLIENT_CLOSED, "headers": []})
    await send({"type": "http.response.body", "body": b""})
