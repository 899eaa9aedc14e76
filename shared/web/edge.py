"""The outermost ASGI layer of a service: span, metrics, one log line and the headers of every answer."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.trace import SpanKind, StatusCode

from shared import telemetry

log = structlog.get_logger()

QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
ALWAYS = ((b"x-content-type-options", b"nosniff"),)
NO_STORE = (b"cache-control", b"no-store")
CLOSE = (b"connection", b"close")
STREAM = b"text/event-stream"
SERVER_ERROR = 500


class Edge:
    """Wraps the Litestar app; a thin layer of our own costs a tenth of the framework's middlewares."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self.is_draining = False
        """Said of a process that stops soon: each answer ends its connection, so that none is cut at the end."""
        self.on_close: Callable[[], None] | None = None
        """Ends the answers that would go on for ever; called when the process takes no further connections."""
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        await self._observed(scope, receive, send)

    async def _observed(self, scope: Any, receive: Receive, send: Send) -> None:
        started, status = perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, is_last=self.is_draining)
            await send(message)

        method = scope["method"]
        with telemetry.span(f"{self._service} {method}", SpanKind.SERVER, _traceparent(scope)) as span:
            try:
                await self.app(scope, receive, send_with_headers)
            finally:
                operation = f"{method} {scope.get('path_template') or 'unknown'}"
                seconds = perf_counter() - started
                span.update_name(operation)
                span.set_attribute("http.response.status_code", status)
                if status >= SERVER_ERROR:
                    span.set_status(StatusCode.ERROR)
                telemetry.REQUEST_SECONDS.labels(self._service, operation, str(status)).observe(seconds)
                log.info("request", operation=operation, status=status, ms=round(seconds * 1000, 1))


def _traceparent(scope: Any) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return value.decode("latin-1")
    return None


def _add_headers(message: Any, *, is_last: bool) -> None:
    headers = list(message["headers"])
    # A stream mostly ends because its process does: a connection kept after it would be closed under the next request.
    if is_last or any(name.lower() == b"content-type" and value.startswith(STREAM) for name, value in headers):
        headers.append(CLOSE)
    if not any(name.lower() == b"cache-control" for name, _ in headers):
        headers.append(NO_STORE)
    message["headers"] = [*headers, *ALWAYS]
