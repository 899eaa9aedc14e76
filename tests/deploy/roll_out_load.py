"""What people do while a roll-out goes on: reads and writes to all services at a pace, and live streams left open."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID

import httpx
import msgspec

from shared.http_pool import Pool
from shared.http_wire import PoolLimits, Request, UpstreamError
from shared.ids import new_id
from shared.testing.tokens import Tokens

CLIENTS: Final = 12
"""Few enough that none waits in vain for one of the two connections of a pod that is alone."""
READERS: Final = 4
TIMEOUT_S: Final = 30.0
TOKEN_S: Final = 3600
LIMIT_BYTES: Final = 1024 * 1024
STREAM: Final = "/api/v1/inbox/stream"
STUDENTS: Final = "/api/v1/students"
READS: Final = {
    "auth": "/api/v1/invites",
    "school": "/api/v1/rooms",
    "academic": STUDENTS,
    "communication": f"/api/v1/contacts?class_id={UUID(int=1)}",
    "notification": "/api/v1/deliveries",
}
"""By service. There is no such class: the service has looked for it."""
ADD_STUDENT: Final = ("POST", STUDENTS)
MARK_READ: Final = ("POST", "/api/v1/inbox/read-all")
LOOKING: Final = [("GET", path) for path in READS.values()]
ASKED: Final = [*LOOKING * 2, ADD_STUDENT, *LOOKING * 2, MARK_READ]
"""One in eleven writes, as on a morning."""
EXPECTED: Final = {("GET", READS["communication"]): 404, ADD_STUDENT: 201}
"""Everything else is 200."""


class Load:
    """`per_second` requests in all, or as many as the machine gives. One that fails is never repeated here."""

    def __init__(self, url: str, tokens: Tokens, *, per_second: float) -> None:
        self.failures: Counter[str] = Counter()
        self.told: list[str] = []
        """Of each failure, when it was and what was answered."""
        self.succeeded = 0
        self.seconds = 0.0
        self.students: set[str] = set()
        """Whom we were told to have added."""
        self.streams_ended = 0
        self.school_id = new_id()
        self._url = url
        self._apart_s = CLIENTS / per_second
        lasts_until = int(time.time()) + TOKEN_S
        self._headers = tokens.headers("school_admin", school_id=self.school_id, person_id=new_id(), exp=lasts_until)
        self._pool = Pool(url, PoolLimits(connections=CLIENTS))
        self._is_over = False

    @property
    def per_second(self) -> float:
        return self.succeeded / self.seconds

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        began = time.monotonic()
        asking = [asyncio.create_task(self._go_on(number)) for number in range(CLIENTS)]
        listening = [asyncio.create_task(self._listen()) for _ in range(READERS)]
        try:
            yield
        finally:
            self._is_over = True
            await asyncio.gather(*asking)
            self.seconds += time.monotonic() - began
            for reader in listening:
                reader.cancel()
            for reader in listening:
                with suppress(asyncio.CancelledError):
                    await reader

    async def once(self) -> None:
        """Each request alone: what fails at rest has nothing to do with a roll-out."""
        for method, path in ASKED:
            await self._ask(method, path)

    async def _go_on(self, number: int) -> None:
        await asyncio.sleep(self._apart_s * number / CLIENTS)
        due = time.monotonic()
        for method, path in itertools.islice(itertools.cycle(ASKED), number, None):
            if self._is_over:
                return
            await self._ask(method, path)
            # Who had to wait makes up for it, or the pace would be that of the slowest moments.
            due += self._apart_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, method: str, path: str) -> None:
        try:
            status, body = await self._answer(method, path)
        except UpstreamError as error:
            self.failures[f"{method} {path} {type(error).__name__}"] += 1
            return
        if status != EXPECTED.get((method, path), 200):
            self.failures[f"{method} {path} {status}"] += 1
            self.told.append(f"{time.strftime('%X')} {body.decode(errors='replace')}")
            return
        self.succeeded += 1
        if (method, path) == ADD_STUDENT:
            self.students.add(msgspec.json.decode(body)["id"])

    async def _answer(self, method: str, path: str) -> tuple[int, bytes]:
        headers = {**self._headers, "Host": self._pool.authority.decode(), "Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = str(new_id())
        is_new = (method, path) == ADD_STUDENT
        request = Request(
            method=method.encode(),
            target=path.encode(),
            headers=[(name.lower().encode(), value.encode()) for name, value in headers.items()],
            body=b'{"given_name":"Ada"}' if is_new else b"",
        )
        answer = await self._pool.request(request, timeout_s=TIMEOUT_S)
        try:
            return answer.status, await answer.read_all(limit_bytes=LIMIT_BYTES, timeout_s=TIMEOUT_S)
        finally:
            answer.close()

    async def _listen(self) -> None:
        """A reader who comes again whenever the stream ends; a stream that is cut, or refused, is a failure."""
        async with httpx.AsyncClient(
            base_url=self._url, headers=self._headers, trust_env=False, timeout=None
        ) as client:
            while True:
                try:
                    async with client.stream("GET", STREAM) as response:
                        if response.status_code != 200:
                            self.failures[f"stream {response.status_code}"] += 1
                        async for _ in response.aiter_raw():
                            pass
                    self.streams_ended += 1
                except httpx.HTTPError as error:
                    self.failures[f"stream {type(error).__name__}"] += 1
                await asyncio.sleep(0.2)
