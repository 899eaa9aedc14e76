"""One person's front end, cheap enough that 300 of them fit beside what they measure."""

import asyncio
import random
import time
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from bench.measures import Times
from shared.http_pool import Pool, Request

LIMIT_BYTES: Final = 8 * 1024 * 1024
TIMEOUT_S: Final = 30.0
SIGN_IN_ATTEMPTS: Final = 5
BUSY: Final = 503


class Failed(Exception):
    """An answer that a front end has no use for."""


class FrontEnd:
    """Asks the gateway through connections that all front ends share; each call is timed under its name."""

    def __init__(self, pool: Pool, objects: Pool, times: Times, ip: str) -> None:
        self._pool, self._objects, self._times = pool, objects, times
        self._headers: list[tuple[bytes, bytes]] = [(b"x-forwarded-for", ip.encode())]

    async def sign_in(self, address: str, password: str) -> dict[str, Any]:
        """Timed with the waiting: who is told that too many sign in at once comes again, as a front end does."""
        began, given = time.perf_counter(), msgspec.json.encode({"email": address, "password": password})
        status, answer = 0, b""
        for _ in range(SIGN_IN_ATTEMPTS):
            status, answer = await self._exchange("POST", "/auth/sign-in", msgspec.Raw(given))
            if status != BUSY:
                break
            self._times.add("sign in: told to come again", time.perf_counter() - began)
            await asyncio.sleep(random.uniform(1.0, 2.0))
        self._times.add("sign in", time.perf_counter() - began, is_success=status == 200)
        if status != 200:
            raise Failed(f"sign in: {status} {_slug(answer)}")
        told = msgspec.json.decode(answer)
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
            raise Failed(f"{name}: {status} {_slug(answer)}")
        return msgspec.json.decode(answer) if answer else None

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
        status, _ = await self._answered(self._objects, request)
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
        status, told = await self._answered(self._objects, request)
        if status != 200:
            raise Failed(f"PUT of a part: {status} {told[:300]!r}")

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
        return await self._answered(self._pool, request)

    @staticmethod
    async def _answered(pool: Pool, request: Request) -> tuple[int, bytes]:
        answer = await pool.request(request, timeout_s=TIMEOUT_S)
        try:
            return answer.status, await answer.read_all(limit_bytes=LIMIT_BYTES, timeout_s=TIMEOUT_S)
        finally:
            answer.close()


def _slug(answer: bytes) -> str:
    """The kind of problem, without what differs from one to the next."""
    try:
        return str(msgspec.json.decode(answer, type=dict[str, Any]).get("type"))
    except msgspec.DecodeError:
        return "unreadable"


def _target(url: str) -> bytes:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}".encode()
