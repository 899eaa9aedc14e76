"""People who look at something once a second, so that what disturbs them can be seen in how long it takes."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from bench.client import Failed, FrontEnd
from bench.house import PASSWORD, User
from bench.measures import Percentiles, Times, of
from shared.http_pool import Pool, UpstreamError

APART_S: Final = 1.0
"""Between two calls of one reader: few enough that the calls do not wait for each other."""
ASKED: Final = ("/today", "/inbox/unread-count", "/students")
"""From read models and caches, of three services."""


class Readers:
    """Signed in, with connections of their own."""

    def __init__(self, front_ends: Sequence[FrontEnd], tokens: Sequence[str]) -> None:
        self._front_ends = front_ends
        self.tokens = tokens

    async def read(self, seconds: float) -> Percentiles:
        """How long their calls took in the seconds to come."""
        took: list[float] = []
        count = len(self._front_ends)
        failed = await asyncio.gather(
            *(
                _go_on(front_end, took, begins_in_s=APART_S * number / count, seconds=seconds)
                for number, front_end in enumerate(self._front_ends)
            )
        )
        return of(took, failed=sum(failed))


@asynccontextmanager
async def readers(gateway_url: str, users: Sequence[User]) -> AsyncGenerator[Readers]:
    pool = Pool(gateway_url)
    try:
        front_ends = [FrontEnd(pool, pool, Times(), user.ip) for user in users]
        signed_in = [
            await front_end.sign_in(user.address, PASSWORD) for front_end, user in zip(front_ends, users, strict=True)
        ]
        yield Readers(front_ends, [told["access_token"] for told in signed_in])
    finally:
        pool.close()


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
