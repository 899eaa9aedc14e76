"""Asking another service over HTTP, where the answer is needed now."""

import time
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
import msgspec

from shared import telemetry
from shared.http_transport import PooledTransport
from shared.problems import Unavailable

T = TypeVar("T")

RENEW_BEFORE_S: Final = 60.0


class ServiceToken(msgspec.Struct, frozen=True, kw_only=True):
    """What `POST /internal/service-tokens` of `auth` answers."""

    access_token: str
    expires_in: int
    """Seconds."""


class InternalClient:
    """One service's way to another's `/internal` paths, with a service token that is renewed in time.

    Use as an async context manager.
    """

    def __init__(self, service: str, *, secret: str, auth_url: str, timeout_s: float = 30.0) -> None:
        self._service = service
        self._secret = secret
        self._auth_url = auth_url.rstrip("/")
        self._http = httpx.AsyncClient(transport=PooledTransport(), timeout=timeout_s)
        self._token = ""
        self._renew_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def put(self, url: str, body: msgspec.Struct, answer: type[T]) -> T:
        """PUT `body` and read the answer. Raises Unavailable when the other does not do as asked."""
        return await self._send("PUT", url, body, answer, await self._headers())

    async def get(self, url: str, answer: type[T]) -> T:
        return await self._send("GET", url, None, answer, await self._headers())

    async def _headers(self) -> dict[str, str]:
        if time.monotonic() >= self._renew_at:
            asked = {"service": self._service, "secret": self._secret}
            url = f"{self._auth_url}/internal/service-tokens"
            token = await self._send("POST", url, asked, ServiceToken, {})
            self._token = token.access_token
            self._renew_at = time.monotonic() + token.expires_in - RENEW_BEFORE_S
        return {"Authorization": f"Bearer {self._token}"}

    async def _send(self, method: str, url: str, body: object, answer: type[T], headers: dict[str, str]) -> T:
        content = None if body is None else msgspec.json.encode(body)
        if traceparent := telemetry.traceparent():
            headers = {**headers, "traceparent": traceparent}
        try:
            response = await self._http.request(
                method, url, content=content, headers={**headers, "Content-Type": "application/json"}
            )
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=answer)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise Unavailable(
                f"{httpx.URL(url).path} did not answer as it should.", headers={"Retry-After": "5"}
            ) from error
