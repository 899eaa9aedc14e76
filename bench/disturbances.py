"""What calls cost while something goes wrong, beside what they cost just before."""

from collections.abc import Sequence
from typing import Final

import msgspec
import psutil

from bench.house import User
from bench.measures import Percentiles
from bench.noise import noise
from bench.readers import APART_S, ASKED, Readers, readers
from tools.stack import Stack

READERS: Final = 20
NOISY_SCHOOL: Final = 0
NOISY: Final = 50
"""People of that school whose front ends ask again as soon as they are answered."""


class Disturbance(msgspec.Struct, frozen=True, kw_only=True):
    before: Percentiles
    during: Percentiles
    noise: Percentiles | None = None
    """The calls of whoever disturbs, where it is calls that do."""

    @property
    def added_p99_ms(self) -> float:
        return self.during.p99_ms - self.before.p99_ms

    @property
    def p99_ratio(self) -> float:
        return self.during.p99_ms / self.before.p99_ms


async def standstill(stack: Stack, users: Sequence[User], *, seconds: float) -> Disturbance:
    """Redis is frozen, not ended: connections stay open and nobody answers, the worst that it can do (bar B17)."""
    redis = psutil.Process(stack.parts["valkey"].process.pid)
    async with readers(stack.url(), _people(users)[:READERS]) as reading:
        before = await _undisturbed(reading, seconds / 2)
        redis.suspend()
        try:
            during = await reading.read(seconds)
        finally:
            redis.resume()
    return Disturbance(before=before, during=during)


async def neighbour(stack: Stack, users: Sequence[User], *, seconds: float) -> Disturbance:
    """One school asks as much as it is answered, and others do what they always do (bar B16)."""
    people = _people(users)
    noisy = [user for user in people if user.school == NOISY_SCHOOL][:NOISY]
    quiet = [user for user in people if user.school != NOISY_SCHOOL][:READERS]
    async with readers(stack.url(), quiet) as reading, readers(stack.url(), noisy) as asking:
        before = await _undisturbed(reading, seconds / 2)
        async with noise(stack.url(), asking.tokens) as made:
            during = await reading.read(seconds)
    return Disturbance(before=before, during=during, noise=made.calls)


async def _undisturbed(reading: Readers, seconds: float) -> Percentiles:
    """Once everything has been asked for, so that caches have been filled."""
    await reading.read(APART_S * len(ASKED))
    return await reading.read(seconds)


def _people(users: Sequence[User]) -> list[User]:
    return [user for user in users if user.role != "school_admin"]
