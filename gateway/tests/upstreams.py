"""A service as the gateway sees one, and gateways, each served by a real uvicorn on a free port of this machine."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvicorn

from gateway.app import create_app
from gateway.listener import server_of
from gateway.settings import Settings
from shared.identity import Verifier

OPERATION = {"responses": {"200": {"description": "Fine."}}}
PATHS = {
    "/api/v1/students": ("get", "post"),
    "/api/v1/students/{student_id}": ("get", "put", "delete"),
    "/api/v1/imports": ("post",),
    "/api/v1/inbox/stream": ("get",),
    "/internal/people": ("get",),
    "/api/v1/auth/tokens": ("post",),
    "/api/v1/auth/sign-in": ("post",),
}
CREDENTIALS = {"x-quota": "credentials"}
Handler = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Service:
    """Answers /openapi.json, and everything else as it is told; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.aborted = asyncio.Event()
        self.handler: Handler = self.echo
        self.document: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {"title": "A service", "version": "1"},
            "paths": {
                path: {method: {**OPERATION, "operationId": f"{method}_{number}"} for method in methods}
                for number, (path, methods) in enumerate(PATHS.items())
            },
        }
        self.document["paths"]["/api/v1/auth/sign-in"]["post"] |= CREDENTIALS

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/openapi.json":
            await answer(send, msgspec.json.encode(self.document))
            return
        self.asked.append({**scope, "fields": dict(scope["headers"])})
        await self.handler(scope, receive, send)

    async def echo(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.aborted.set()
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        await answer(send, body or b'{"students":[]}')

    async def wait_for_abort(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.aborted.set()

    @property
    def fields(self) -> dict[bytes, bytes]:
        return self.asked[-1]["fields"]


async def answer(send: Any, body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[str]:
    """The URL of an application behind uvicorn."""
    config = uvicorn.Config(app, port=0, http="httptools", lifespan="off", log_config=None, access_log=False, ws="none")
    async with running(uvicorn.Server(config)) as url:
        yield url


@asynccontextmanager
async def running(server: uvicorn.Server) -> AsyncGenerator[str]:
    server.config.timeout_graceful_shutdown = 1
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.005)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


@asynccontextmanager
async def gateway(settings: Settings, verifier: Verifier) -> AsyncGenerator[str]:
    server = server_of(create_app(settings, verifier), settings)
    server.last_ask_s = 0  # nobody is on the way any more when a test is done
    async with running(server) as url:
        yield url


async def sent(url: str, *parts: bytes, timeout_s: float = 30.0, pause_s: float = 0.02) -> bytes:
    """Everything that comes back until the gateway closes, or falls silent."""
    parsed = urlsplit(url)
    reader, writer = await asyncio.open_connection(parsed.hostname, parsed.port)
    received = b""
    try:
        for number, part in enumerate(parts):
            await asyncio.sleep(pause_s if number else 0)
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(timeout_s):
            while part := await reader.read(65536):
                received += part
    except (TimeoutError, ConnectionResetError):
        pass
    writer.close()
    return received
