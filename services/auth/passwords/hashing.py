"""argon2id in a few threads: a hash costs 20 MiB and tens of milliseconds, so neither may pile up."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.problems import Unavailable

T = TypeVar("T")

HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
DUMMY = HASHER.hash("nobody has this password")
"""Checked where there is nothing to check, so that both take the same time."""


class Passwords:
    """Hashes and checks passwords, a bounded number at a time."""

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._free = threads + waiting

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await self._run(lambda: HASHER.hash(_normalised(password)))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Takes the same time for no hash as for a wrong password."""
        right = await self._run(lambda: _matches(password_hash or DUMMY, _normalised(password)))
        return right and password_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._free <= 0:
            raise Unavailable("Too many sign-ins at once; try again.", headers={"Retry-After": "2"})
        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._free += 1


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _normalised(password: str) -> str:
    """Two keyboards may write the same letter in two ways."""
    return unicodedata.normalize("NFC", password)
