"""`httpx` over `shared.http_pool`: the API that everybody knows, at a fraction of its usual cost."""

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from shared.http_pool import (
    Answer,
    BadAnswer,
    Body,
    ConnectFailed,
    ConnectionBroken,
    Pool,
    PoolFull,
    PoolLimits,
    Request,
    TimedOut,
    UpstreamError,
)

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
OURS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
WITHOUT_LIMIT_S: Final = 86_400.0
AS_HTTPX: Final[dict[type[UpstreamError], type[httpx.TransportError]]] = {
    ConnectFailed: httpx.ConnectError,
    PoolFull: httpx.PoolTimeout,
    ConnectionBroken: httpx.RemoteProtocolError,
    BadAnswer: httpx.RemoteProtocolError,
    TimedOut: httpx.ReadTimeout,
}


class PooledTransport(httpx.AsyncBaseTransport):
    """One pool for each origin. The read time-out of httpx bounds the wait for the head and each silence after it."""

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self._limits = limits
        self._pools: dict[str, Pool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"{url.scheme} is not spoken here", request=request)
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        pool = self._pools.get(origin) or self._pools.setdefault(origin, Pool(origin, self._limits))
        timeout_s = _read_timeout_s(request.extensions)
        try:
            answer = await pool.request(_as_pooled(request), timeout_s=timeout_s)
        except UpstreamError as error:
            raise _as_httpx(error, request) from error
        except ValueError as error:
            raise httpx.LocalProtocolError(str(error), request=request) from error
        return httpx.Response(answer.status, headers=answer.headers, stream=_Stream(answer, request, timeout_s))

    async def aclose(self) -> None:
        for pool in self._pools.values():
            pool.close()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, answer: Answer, request: httpx.Request, timeout_s: float) -> None:
        self._answer = answer
        self._request = request
        self._timeout_s = timeout_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while part := await self._answer.read(self._timeout_s):
                yield part
        except UpstreamError as error:
            raise _as_httpx(error, self._request) from error

    async def aclose(self) -> None:
        self._answer.close()


def _as_pooled(request: httpx.Request) -> Request:
    return Request(
        method=request.method.encode("ascii"),
        target=request.url.raw_path,
        headers=[(name.lower(), value) for name, value in request.headers.raw if name.lower() not in OURS],
        body=_body_of(request),
        is_idempotent=request.method in IDEMPOTENT,
    )


def _body_of(request: httpx.Request) -> bytes | Body:
    if isinstance(request.stream, httpx.ByteStream):
        return b"".join(request.stream)
    if not isinstance(request.stream, httpx.AsyncByteStream):
        raise httpx.LocalProtocolError("an asynchronous body is needed", request=request)
    length = request.headers.get("content-length")
    return Body(aiter(request.stream), int(length) if length else None)


def _read_timeout_s(extensions: dict[str, Any]) -> float:
    return extensions.get("timeout", {}).get("read") or WITHOUT_LIMIT_S


def _as_httpx(error: UpstreamError, request: httpx.Request) -> httpx.TransportError:
    return AS_HTTPX[type(error)](str(error), request=request)
