"""HTTP/1.1 on one connection: a request goes out, an answer comes in, and nothing is believed that is not certain."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, cast

import httptools
import msgspec

Headers = Sequence[tuple[bytes, bytes]]

BUFFERED_BYTES: Final = 256 * 1024
"""An upstream that sends faster than we pass on is not read beyond this."""
UNSENDABLE: Final = re.compile(rb"[\x00\r\n]")
UNREADABLE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})


class UpstreamError(Exception):
    """The upstream gave no answer that can be used."""


class ConnectFailed(UpstreamError):
    """Nobody listens there, or not in time; nothing was sent."""


class PoolFull(UpstreamError):
    """All connections are busy and so are the places to wait; nothing was sent."""


class ConnectionBroken(UpstreamError):
    """The connection ended before the answer did."""


class BadAnswer(UpstreamError):
    """What came is not HTTP as we accept it."""


class TimedOut(UpstreamError):
    """The upstream took too long."""


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    connections: int = 64
    each: int | None = None
    """How many of them one of those who ask may use at once; all, when it is not said."""
    waiting: int = 256
    """How many requests may wait for a connection; further ones are refused at once, as is who fills half of it."""
    wait_s: float = 1.0
    connect_s: float = 1.0
    idle_s: float = 3.0
    """Below the 5 s after which uvicorn closes an idle connection, so that we rarely meet a dead one."""
    head_bytes: int = 32 * 1024
    head_fields: int = 100


class Body(msgspec.Struct, frozen=True):
    """A request body that is still coming. Without `length` it is sent in chunks."""

    parts: AsyncIterator[bytes]
    length: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: bytes
    target: bytes
    """Path and query."""
    headers: Headers
    """Names in lower case; without `content-length`, `transfer-encoding` and `connection`, which are ours."""
    body: bytes | Body = b""
    is_idempotent: bool = False
    """Sent again, once, when a kept connection turns out to be dead before a single byte came back."""

    def head(self) -> bytes:
        """Raises ValueError when a field could be read as two."""
        lines = [b"%b %b HTTP/1.1" % (self.method, self.target)]
        for name, value in self.headers:
            if name in FRAMING or not TOKEN.fullmatch(name):
                raise ValueError(f"not a header of a request: {name!r}")
            lines.append(b"%b: %b" % (name, value))
        lines.extend(self._framing())
        if any(UNSENDABLE.search(line) for line in lines):
            raise ValueError("a line break or NUL in a header")
        return b"\r\n".join([*lines, b"", b""])

    @property
    def is_chunked(self) -> bool:
        return isinstance(self.body, Body) and self.body.length is None

    def _framing(self) -> list[bytes]:
        if self.is_chunked:
            return [b"transfer-encoding: chunked"]
        length = self.body.length if isinstance(self.body, Body) else len(self.body)
        if length or self.method in {b"POST", b"PUT", b"PATCH"}:
            return [b"content-length: %d" % (length or 0)]
        return []


class Connection(asyncio.Protocol):
    """One connection; at most one exchange at a time."""

    def __init__(self, limits: PoolLimits) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self._is_busy = False
        self._is_reading = True
        self.is_open = True
        self.is_used = False
        self.idle_since = 0.0
        self._reset(b"")

    def _reset(self, method: bytes) -> None:
        self._method = method
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._head_bytes = 0
        self._is_kept = True
        self.error: UpstreamError | None = None
        self.received_bytes = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.is_complete = False

    # The exchange

    async def exchange(self, request: Request, timeout_s: float) -> None:
        """Send, and wait for the head of the answer. Raises UpstreamError."""
        head = request.head()
        if not self.is_open:
            raise ConnectionBroken("closed while idle")
        self._reset(request.method)
        self._is_busy = True
        timer = self._loop.call_later(timeout_s, self.fail, TimedOut("no answer in time"))
        try:
            if isinstance(request.body, Body):
                self._transport.write(head)
                await self._head_while_sending(request.body, is_chunked=request.is_chunked)
            else:
                self._transport.write(head + request.body)
                await self._wait_for_head()
        finally:
            timer.cancel()

    async def _head_while_sending(self, body: Body, *, is_chunked: bool) -> None:
        sending = asyncio.create_task(self._send(body, is_chunked=is_chunked))
        sending.add_done_callback(self._stop_when_failed)
        try:
            await self._wait_for_head()
        except UpstreamError:
            if sending.done() and not sending.cancelled():
                sending.result()
            raise
        finally:
            if not sending.done():
                # An answer before the end of the question: take it, but never use the connection again.
                self._is_kept = False
                sending.cancel()
            await asyncio.wait({sending})

    def _stop_when_failed(self, sending: asyncio.Task[None]) -> None:
        if not sending.cancelled() and sending.exception() is not None:
            self.fail(ConnectionBroken("the request's body ended early"))

    async def _send(self, body: Body, *, is_chunked: bool) -> None:
        sent = 0
        async for part in body.parts:
            sent += len(part)
            if body.length is not None and sent > body.length:
                raise ValueError("more body than announced")
            if part:
                self._transport.write(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
            await self._is_writable.wait()
            if self.error:
                return
        if is_chunked:
            self._transport.write(b"0\r\n\r\n")
        elif sent != body.length:
            raise ValueError("less body than announced")

    async def _wait_for_head(self) -> None:
        while not self.has_head:
            await self._wait()

    async def read(self, timeout_s: float | None) -> bytes:
        """What has come of the body, b"" at its end. Raises UpstreamError."""
        while not self._chunks:
            if self.is_complete:
                return b""
            timer = self._loop.call_later(timeout_s, self.fail, TimedOut("silence")) if timeout_s else None
            try:
                await self._wait()
            finally:
                if timer:
                    timer.cancel()
        part = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered_bytes = 0
        if not self._is_reading and self.is_open:
            self._is_reading = True
            self._transport.resume_reading()
        return part

    @property
    def is_read(self) -> bool:
        return self.is_complete and not self._chunks

    async def _wait(self) -> None:
        if self.error:
            raise self.error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def end(self) -> bool:
        """End the exchange. Says whether the connection may serve another one; otherwise it is closed."""
        self._is_busy = False
        self.is_used = True
        if self.is_open and self.is_complete and self._is_kept and self.error is None and self._is_reading:
            self.idle_since = self._loop.time()
            return True
        self.abort()
        return False

    def abort(self) -> None:
        self.is_open = False
        self._transport.abort()

    def fail(self, error: UpstreamError) -> None:
        self.error = self.error or error
        self.abort()
        self._wake()

    def _wake(self) -> None:
        if self.error:
            self._is_writable.set()
        if self._waiter and not self._waiter.done():
            if self.error:
                self._waiter.set_exception(self.error)
            else:
                self._waiter.set_result(None)

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        self.is_open = False
        self._is_writable.set()
        if self._is_busy and not self.is_complete:
            self.fail(ConnectionBroken("the upstream hung up"))

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    def data_received(self, data: bytes) -> None:
        if not self._is_busy or self.is_complete:
            # Nobody asked for this. It must never be taken for the answer to the next request.
            self._is_kept = False
            self.abort()
            return
        self.received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(error)
        if not self.has_head and self.received_bytes > self._limits.head_bytes:
            self.fail(BadAnswer("the head is too large"))

    def _refuse(self, error: Exception) -> None:
        if self.is_complete:
            self._is_kept = False
        elif isinstance(error.__context__, BadAnswer):
            self.fail(error.__context__)
        else:
            self.fail(BadAnswer(str(error)))

    # What httptools tells

    def on_message_begin(self) -> None:
        if self.is_complete:
            self._is_kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self._limits.head_bytes or len(self.headers) >= self._limits.head_fields:
            raise BadAnswer("the head is too large")
        if self.has_head:
            return  # a trailer: nobody here expects one
        if UNREADABLE.search(value):
            raise BadAnswer("a control character in a header")
        self.headers.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        status = self._parser.get_status_code()
        if status == 101:
            raise BadAnswer("an upgrade that nobody asked for")
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        has_body = self._method != b"HEAD" and status not in {204, 304}
        self._check_framing(has_body=has_body)
        self.has_head = True
        self._is_kept = self._is_kept and self._parser.should_keep_alive()
        if not has_body:
            self.is_complete = True
        self._wake()

    def _check_framing(self, *, has_body: bool) -> None:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if (lengths and codings) or len(lengths) > 1 or any(not length.isdigit() for length in lengths):
            raise BadAnswer("two lengths")
        if codings and ([coding.lower() for coding in codings] != [b"chunked"] or not self._is_http_1_1()):
            raise BadAnswer("a transfer coding that we do not know")
        if has_body and not lengths and not codings:
            raise BadAnswer("no length: its end could not be told from a broken connection")

    def _is_http_1_1(self) -> bool:
        return self._parser.get_http_version() == "1.1"

    def on_body(self, body: bytes) -> None:
        if self.is_complete:
            self._is_kept = False
            return
        self._chunks.append(body)
        self._buffered_bytes += len(body)
        if self._buffered_bytes > BUFFERED_BYTES and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete = True
            self._wake()
