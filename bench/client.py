"""One person's front end, cheap enough that 300 of them fit beside what they measure."""

import time
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from bench.measures import Times
from shared.http_pool import Pool, Request

LIMIT_BYTES: Final = 8 * 1024 * 1024
TIMEOUT_S: Final = 30.0


class Failed(Exception):
    """An answer that a front end has no use for."""


class FrontEnd:
    """Asks the gateway through connections that all front ends share; each call is timed under its name."""

    def __init__(self, pool: Pool, times: Times, ip: str) -> None:
        self._pool, self._times, self._ip = pool, times, ip
        self._headers: list[tuple[bytes, bytes]] = [(b"x-forwarded-for", ip.encode())]

    async def sign_in(self, address: str, password: str) -> dict[str, Any]:
        told = await self.send("sign in", "POST", "/auth/sign-in", {"email": address, "password": password})
        self._headers.append((b"authorization", f"Bearer {told['access_token']}".encode()))
        return told

    async def get(self, name: str, path: str, **params: object) -> Any:
        return await self.send(name, "GET", f"{path}?{urlencode(params)}" if params else path, None)

    async def post(self, name: str, path: str, **body: object) -> Any:
        return await self.send(name, "POST", path, body)

    async def put(self, name: str, path: str, **body: object) -> Any:
        return await self.send(name, "PUT", path, body)

    async def send(self, name: str, method: str, path: str, body: object) -> Any:
        """Raises Failed for anything but a success; that is counted too."""
        began = time.perf_counter()
        status, answer = await self._exchange(method, path, body)
        is_success = 200 <= status < 300
        self._times.add(name, time.perf_counter() - began, is_success=is_success)
        if not is_success:
            raise Failed(f"{method} {path}: {status} {answer[:300]!r}")
        return msgspec.json.decode(answer) if answer else None

    async def _exchange(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        request = Request(
            method=method.encode(),
            target=f"/api/v1{path}".encode(),
            headers=[
                (b"host", self._pool.authority),
                *self._headers,
                *([] if body is None else [(b"content-type", b"application/json")]),
            ],
            body=b"" if body is None else msgspec.json.encode(body),
            is_idempotent=method == "GET",
        )
        answer = await self._pool.request(request, timeout_s=TIMEOUT_S)
        try:
            return answer.status, await answer.read_all(limit_bytes=LIMIT_BYTES, timeout_s=TIMEOUT_S)
        finally:
            answer.close()
