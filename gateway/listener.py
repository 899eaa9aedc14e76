"""The server in front of the gateway: uvicorn, with patience that ends and problems it can tell."""

import asyncio
import signal
from contextlib import suppress
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.app import Gateway
from gateway.client import RequestTimeout
from gateway.headers import HeadTooLarge
from gateway.settings import Settings
from shared import problems, telemetry
from shared.problems import Problem
from shared.web.rendering import MEDIA_TYPE, encode
from shared.web.server import Server

LINE_BYTES = 1024


class PatientProtocol(HttpToolsProtocol):
    """uvicorn waits for the head of a request for ever, and takes one of any size; we do neither."""

    head_s: float
    head_bytes: int
    _timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    _is_in_head = True
    _head_received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # uvicorn ends the time to lie idle with any byte, and begins it with an answer only. It would be endless after
        # an empty line, or more of a body that was answered unread; so the timer is ours until a request begins.
        self._idle_timer, self.timeout_keep_alive_task = self.timeout_keep_alive_task, None
        super().data_received(data)
        self.timeout_keep_alive_task, self._idle_timer = self._idle_timer, None
        if self._is_in_head and not self.transport.is_closing():
            self._head_received += len(data)
            if self._head_received > self.head_bytes:
                self._refuse(HeadTooLarge())

    def on_message_begin(self) -> None:
        self._expect_head()
        if self._idle_timer:
            self._idle_timer.cancel()
            self._idle_timer = None
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after the head is a trailer: nobody here reads one.
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._timer:
            # The next request has begun already, and its head has a time of its own.
            self._unset_keepalive_if_required()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's name)
        self._refuse(problems.BadRequest("These bytes are no request."))

    def _expect_head(self) -> None:
        self._is_in_head = True
        self._head_received = 0
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self._refuse, RequestTimeout())

    def _expect_nothing(self) -> None:
        self._is_in_head = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        can_be_told = self._can_be_told
        self._expect_nothing()
        if can_be_told:
            self.transport.write(_raw_answer(problem))
        self.transport.close()

    @property
    def _can_be_told(self) -> bool:
        """Whether nobody could take what we write now for (a part of) the answer to an earlier request."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            return True
        return not (self._is_in_head or self.pipeline or cycle.response_started)


def _raw_answer(problem: Problem) -> bytes:
    with telemetry.span("gateway refusal"):
        body = encode(problem)
    telemetry.PROBLEMS.labels("gateway", problem.slug).inc()
    head = (
        f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def server_of(app: Gateway, settings: Settings) -> Server:
    protocol: Any = type(
        "Protocol",
        (PatientProtocol,),
        {"head_s": settings.head_s, "head_bytes": settings.head_bytes + settings.target_bytes + LINE_BYTES},
    )
    config = uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] (Litestar types ASGI more narrowly than uvicorn)
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws="none",
        proxy_headers=False,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=round(settings.stop_grace_s),
    )
    return Server(config, on_close=app.end_streams)


async def _run(server: uvicorn.Server) -> None:
    # uvicorn would take the signals for itself, and close without a moment of grace; it leaves the whole process
    # when nothing can listen.
    with suppress(SystemExit):
        await server._serve()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


async def serve(app: Gateway, settings: Settings) -> bool:
    """Run until SIGTERM or SIGINT: say that we stop, keep accepting for a moment, drain, close.

    False when nothing could listen there.
    """
    server, stopping = server_of(app, settings), asyncio.Event()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_, stopping.set)
    serving = asyncio.create_task(_run(server))
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    app.drain()
    if not serving.done():
        await asyncio.sleep(settings.drain_s)
    server.should_exit = True
    await serving
    return server.started
