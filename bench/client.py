"""One person's front end, cheap enough that 300 of them fit beside what they measure."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from bench.calls import COME_AGAIN, SIGN_IN
from bench.measures import Times
from shared.http_pool import Pool, Request

LIMIT_BYTES: Final = 8 * 1024 * 1024
TIMEOUT_S: Final = 30.0
SIGN_IN_ATTEMPTS: Final = 5
OK: Final = 200
BUSY: Final = 503
RETRY_S: Final = (1.0, 5.0)
"""After which a stream is opened again, as the stream itself says."""


class Failed(Exception):
    """An answer that a front end has no use for."""


class FrontEnd:
    """Asks the gateway through connections that all front ends share; each call is timed under its name."""

    def __init__(self, pool: Pool, objects: Pool, times: Times, ip: str) -> None:
        self._pool, self._objects, self._times = pool, objects, times
        self._headers: list[tuple[bytes, bytes]] = [(b"x-forwarded-for", ip.encode())]

    async def sign_in(self, address: str, password: str) -> dict[str, Any]:
        """Timed with the waiting: who is told when to come again does so, as a front end does.

        Each such 503 is counted under a name of its own; one that does not say when is a failure.
        """
        began, given = time.perf_counter(), msgspec.json.encode({"email": address, "password": password})
        status, answer = 0, b""
        for attempt in range(SIGN_IN_ATTEMPTS):
            asked = time.perf_counter()
            status, answer, wait_s = await self._exchange("POST", "/auth/sign-in", msgspec.Raw(given))
            if status != BUSY or wait_s is None or attempt == SIGN_IN_ATTEMPTS - 1:
                break
            self._times.add(COME_AGAIN, time.perf_counter() - asked)
            await asyncio.sleep(wait_s * random.uniform(1.0, 1.5))
        self._times.add(SIGN_IN, time.perf_counter() - began, is_success=status == 200)
        if status != 200:
            raise Failed(f"sign in: {status} {_slug(answer)}")
        told = msgspec.json.decode(answer)
        self.carry(told["access_token"])
        return told

    def carry(self, token: str) -> None:
        """Ask with this token from now on."""
        self._headers.append((b"authorization", f"Bearer {token}".encode()))

    async def get(self, name: str, path: str, **params: object) -> Any:
        return await self.send(name, "GET", f"{path}?{urlencode(params)}" if params else path, None)

    async def post(self, name: str, path: str, **body: object) -> Any:
        return await self.send(name, "POST", path, body)

    async def put(self, name: str, path: str, **body: object) -> Any:
        return await self.send(name, "PUT", path, body)

    async def send(self, name: str, method: str, path: str, body: object) -> Any:
        """Raises Failed for anything but a success; that is counted too."""
        began = time.perf_counter()
        status, answer, _ = await self._exchange(method, path, body)
        is_success = 200 <= status < 300
        self._times.add(name, time.perf_counter() - began, is_success=is_success)
        if not is_success:
            raise Failed(f"{name}: {status} {_slug(answer)}")
        return msgspec.json.decode(answer) if answer else None

    async def look_on(self, name: str, path: str) -> None:
        """Read an event stream until cancelled; timed until its first event. One that ends is opened again."""
        while True:
            began = time.perf_counter()
            answer = await self._pool.request(self._request("GET", path, None), timeout_s=TIMEOUT_S)
            answer.leave_place()
            try:
                first = await answer.read(TIMEOUT_S)
                is_success = answer.status == OK and bool(first)
                self._times.add(name, time.perf_counter() - began, is_success=is_success)
                if not is_success:
                    raise Failed(f"{name}: {answer.status} {_slug(first)}")
                while await answer.read():
                    pass
            finally:
                answer.close()
            await asyncio.sleep(random.uniform(*RETRY_S))

    def took(self, name: str, seconds: float, *, is_success: bool) -> None:
        """Of something that is no single call."""
        self._times.add(name, seconds, is_success=is_success)

    async def upload(self, name: str, content: bytes) -> str:
        """A PDF straight into the object store, as a browser does it, timed from the first question to `ready`."""
        began = time.perf_counter()
        asked = {"name": "letter.pdf", "size_bytes": len(content), "media_type": "application/pdf"}
        new = await self.send("create a file", "POST", "/files", asked)
        upload = new["upload"]
        await asyncio.gather(*(self._put_part(part, upload["headers"], content) for part in upload["parts"]))
        told = await self.send("complete a file", "POST", f"/files/{new['file']['id']}/complete", None)
        self._times.add(name, time.perf_counter() - began, is_success=told["state"] == "ready")
        return new["file"]["id"]

    async def download(self, name: str, path: str) -> None:
        """By a signed URL."""
        url = (await self.get("sign a download", path))["url"]
        began = time.perf_counter()
        request = Request(method=b"GET", target=_target(url), headers=[(b"host", self._objects.authority)])
        status, _, _ = await self._answered(self._objects, request)
        self._times.add(name, time.perf_counter() - began, is_success=status == 200)

    async def _put_part(self, part: dict[str, Any], headers: dict[str, str], content: bytes) -> None:
        request = Request(
            method=b"PUT",
            target=_target(part["url"]),
            headers=[
                (b"host", self._objects.authority),
                *((field.lower().encode(), value.encode()) for field, value in headers.items()),
            ],
            body=content[part["offset"] : part["offset"] + part["size_bytes"]],
        )
        status, told, _ = await self._answered(self._objects, request)
        if status != 200:
            raise Failed(f"PUT of a part: {status} {told[:300]!r}")

    async def _exchange(self, method: str, path: str, body: object) -> tuple[int, bytes, float | None]:
        return await self._answered(self._pool, self._request(method, path, body))

    def _request(self, method: str, path: str, body: object) -> Request:
        return Request(
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

    @staticmethod
    async def _answered(pool: Pool, request: Request) -> tuple[int, bytes, float | None]:
        """Status, body, and after how many seconds to come again, if that was said."""
        answer = await pool.request(request, timeout_s=TIMEOUT_S)
        try:
            body = await answer.read_all(limit_bytes=LIMIT_BYTES, timeout_s=TIMEOUT_S)
            return answer.status, body, _seconds(answer.headers)
        finally:
            answer.close()


def _slug(answer: bytes) -> str:
    """The kind of problem, without what differs from one to the next."""
    try:
        return str(msgspec.json.decode(answer, type=dict[str, Any]).get("type"))
    except msgspec.DecodeError:
        return "unreadable"


def _seconds(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    return next((float(value) for name, value in headers if name == b"retry-after"), None)


def _target(url: str) -> bytes:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}".encode()
