"""argon2id in a few threads: a hash costs 20 MiB and tens of milliseconds, so neither may pile up."""

import asyncio
import math
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.problems import Unavailable

T = TypeVar("T")

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
DUMMY = HASHER.hash("nobody has this password")
"""Checked where there is nothing to check, so that both take the same time."""
NEWS: Final = 0.1
"""The part that the last hash has in what a hash is thought to take."""
SOONEST_S: Final = 2


class Passwords:
    """Hashes and checks passwords, a few at a time; nobody waits among more than `waiting`, or much above `wait_s`."""

    def __init__(self, *, threads: int, waiting: int, wait_s: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._threads = threads
        self._waiting = waiting
        self._wait_s = wait_s
        self._asked = 0
        self._hash_s = 0.0

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await self._run(lambda: HASHER.hash(_normalised(password)))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Takes the same time for no hash as for a wrong password."""
        right = await self._run(lambda: _matches(password_hash or DUMMY, _normalised(password)))
        return right and password_hash is not None

    def require_room(self) -> None:
        """Raises Unavailable, with when to come again, if one more would have to wait too long."""
        ahead = self._asked - self._threads + 1
        wait_s = ahead * self._hash_s / self._threads
        if ahead > self._waiting or wait_s > self._wait_s:
            again_s = max(SOONEST_S, math.ceil(wait_s))
            raise Unavailable("Too many sign-ins at once; try again.", headers={"Retry-After": str(again_s)})

    async def _run(self, work: Callable[[], T]) -> T:
        self.require_room()
        self._asked += 1
        try:
            result, took_s = await asyncio.get_running_loop().run_in_executor(self._pool, _timed, work)
        finally:
            self._asked -= 1
        self._hash_s += (took_s - self._hash_s) * NEWS
        return result


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.monotonic()
    return work(), time.monotonic() - began


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _normalised(password: str) -> str:
    """Two keyboards may write the same letter in two ways."""
    return unicodedata.normalize("NFC", password)
