"""How much a cache may still store in a Redis where others keep what must not be lost (ADR 1101)."""

import asyncio
import math
from typing import Final

import hiredis
import structlog

from shared.redis_pipe import RedisPipe

log = structlog.get_logger()

LOOK_EVERY_S: Final = 2.0
PART_OF_ROOM: Final = 16
"""A process stores so small a part of the room that is left before it looks again: others store at the same time."""
TELL_EVERY_S: Final = 3600.0


class RedisRoom:
    """What one process may store while a Redis uses less than `share` of its `maxmemory`."""

    def __init__(self, pipe: RedisPipe, *, share: float) -> None:
        self._pipe = pipe
        self._share = share
        self._left: float = 0
        self._looks_at = -math.inf
        self._looking = asyncio.Lock()
        self._tells_at = -math.inf

    async def takes(self, size_bytes: int) -> bool:
        """Whether so much may be stored, which then counts as stored. Raises RedisDown."""
        if asyncio.get_running_loop().time() >= self._looks_at:
            await self.look()
        if size_bytes > self._left:
            self._tell_full()
            return False
        self._left -= size_bytes
        return True

    async def look(self) -> None:
        """Ask Redis how full it is; once for all who want to know at the same time. Raises RedisDown."""
        if self._looking.locked():
            async with self._looking:
                return
        async with self._looking:
            self._left = await self._measured()
            self._looks_at = asyncio.get_running_loop().time() + LOOK_EVERY_S

    async def _measured(self) -> float:
        try:
            told: bytes = await self._pipe.execute("INFO", "memory")
        except hiredis.ReplyError as error:
            log.warning("redis_memory_unknown", error=type(error).__name__)
            return 0
        facts = dict(line.split(b":", 1) for line in told.splitlines() if b":" in line)
        used_bytes, limit_bytes = (int(facts.get(name, 0)) for name in (b"used_memory", b"maxmemory"))
        limit_bytes *= self._share
        if not limit_bytes:
            return math.inf
        return max(0.0, limit_bytes - used_bytes) / PART_OF_ROOM

    def _tell_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._tells_at:
            self._tells_at = now + TELL_EVERY_S
            log.warning("cache_full", share=self._share)
