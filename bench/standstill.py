"""What calls cost while Redis stands still, beside what they cost just before (bar B17)."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from typing import Final

import msgspec
import psutil

from bench.client import Failed, FrontEnd
from bench.house import PASSWORD, User
from bench.measures import Percentiles, Times, of
from shared.http_pool import Pool, UpstreamError
from tools.stack import Stack

READERS: Final = 20
APART_S: Final = 1.0
"""Between two calls of one reader: few enough that the calls do not wait for each other."""
ASKED: Final = ("/today", "/inbox/unread-count", "/students")
"""From read models and caches, of three services."""


class Standstill(msgspec.Struct, frozen=True, kw_only=True):
    before: Percentiles
    during: Percentiles

    @property
    def added_p99_ms(self) -> float:
        return self.during.p99_ms - self.before.p99_ms


async def standstill(stack: Stack, users: Sequence[User], *, before_s: float, during_s: float) -> Standstill:
    """Redis is frozen, not ended: connections stay open and nobody answers, which is the worst that it can do."""
    redis = psutil.Process(stack.parts["valkey"].process.pid)
    pool = Pool(stack.url())
    readers = [user for user in users if user.role != "school_admin"][:READERS]
    try:
        front_ends = [await _signed_in(pool, user) for user in readers]
        before = await _read(front_ends, before_s)
        redis.suspend()
        try:
            during = await _read(front_ends, during_s)
        finally:
            redis.resume()
    finally:
        pool.close()
    return Standstill(before=before, during=during)


async def _signed_in(pool: Pool, user: User) -> FrontEnd:
    front_end = FrontEnd(pool, pool, Times(), user.ip)
    await front_end.sign_in(user.address, PASSWORD)
    return front_end


async def _read(front_ends: Sequence[FrontEnd], seconds: float) -> Percentiles:
    took: list[float] = []
    failed = await asyncio.gather(
        *(
            _go_on(front_end, took, begins_in_s=APART_S * number / len(front_ends), seconds=seconds)
            for number, front_end in enumerate(front_ends)
        )
    )
    return of(took, failed=sum(failed))


async def _go_on(front_end: FrontEnd, took: list[float], *, begins_in_s: float, seconds: float) -> int:
    """How many calls failed."""
    until, failed = time.perf_counter() + seconds, 0
    await asyncio.sleep(begins_in_s)
    for path in itertools.cycle(ASKED):
        began = time.perf_counter()
        if began >= until:
            break
        try:
            await front_end.get(path, path)
        except (Failed, UpstreamError):
            failed += 1
        took.append(time.perf_counter() - began)
        await asyncio.sleep(APART_S)
    return failed
