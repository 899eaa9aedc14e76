"""How far a replica must have come before somebody may read from it (ADR 0202).

Positions in Postgres's log are remembered in Redis, where all processes of a service see them:
- of a user, after each write of theirs: who wrote reads it;
- of a school, after what a worker wrote there, or what somebody is told to look at: who is told sees it;
- the floor, for everybody: taken anew when it is over, so that no answer is older than that, and that nothing is lost
  when Redis forgets.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, cast
from uuid import UUID

import hiredis
import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict

from shared.problems import Unavailable
from shared.redis_pipe import RedisDown, RedisPipe

log = structlog.get_logger()

# A mark never goes back, however late it comes: the texts are of one length.
RAISE: Final = """
for number, key in ipairs(KEYS) do
    local mark = redis.call('GET', key)
    if mark and mark >= ARGV[1] then
        redis.call('PEXPIRE', key, ARGV[2])
    else
        redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    end
end
return 1
"""
SETTLE_S: Final = 0.5

Position = int
Locate = Callable[[], Awaitable[Position]]


class Marks:
    """`locate` tells the primary's position of now. A floor holds for `stale_s`, a mark for twice as long."""

    def __init__(self, redis: RedisPipe, database_url: str, locate: Locate, *, stale_s: float) -> None:
        parts = conninfo_to_dict(database_url)
        self._prefix = f"reads:{parts.get('user')}:{parts.get('dbname')}"
        self._pipe = redis
        self._locate = locate
        self._floor_ms = max(1, round(stale_s * 1000))
        self._is_taking_floor = False
        self._settling: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._settling:
            self._settling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._settling
        await self._pipe.close()

    async def needed(self, user_id: UUID, school_id: UUID | None) -> Position | None:
        """Where a replica must be for this reader; None when nobody can tell."""
        if self._is_settling:
            return None
        keys = [self._key("user", user_id), *([self._key("school", school_id)] if school_id else [])]
        try:
            floor, *marks = cast("list[bytes | None]", await self._pipe.execute("MGET", self._floor, *keys))
            if floor is None:
                await self._take_floor()
                return None
        except (RedisDown, hiredis.ReplyError, Unavailable, psycopg.Error):
            return None
        return max(int(mark, 16) for mark in (floor, *marks) if mark)

    async def wrote(self, position: Position | None, *, user_id: UUID | None, schools: Iterable[UUID]) -> None:
        """Remember a write. Without user and school it is everybody's; without a position, more than everybody's."""
        keys = [self._key("school", school_id) for school_id in schools]
        keys += [self._key("user", user_id)] if user_id else []
        if position is None:
            self._settle_soon()
            return
        try:
            await self._raise(keys or [self._floor], position, 2 * self._floor_ms if keys else self._floor_ms)
        except (RedisDown, hiredis.ReplyError):
            self._settle_soon()

    async def _take_floor(self) -> None:
        if self._is_taking_floor:
            return
        self._is_taking_floor = True
        try:
            await self._raise([self._floor], await self._locate(), self._floor_ms)
        finally:
            self._is_taking_floor = False

    async def _raise(self, keys: list[str], position: Position, milliseconds: int) -> None:
        await self._pipe.execute("EVAL", RAISE, len(keys), *keys, f"{position:016x}", milliseconds)

    # A mark that could not be set

    @property
    def _is_settling(self) -> bool:
        return self._settling is not None and not self._settling.done()

    def _settle_soon(self) -> None:
        """Until the floor stands above what was written, nobody reads from a replica in this process."""
        if not self._is_settling:
            self._settling = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        while True:
            try:
                await self._raise([self._floor], await self._locate(), self._floor_ms)
            except Exception as error:  # noqa: BLE001 (whatever it is: until it is over, the primary is asked)
                log.debug("marks_wait", error=type(error).__name__)
                await asyncio.sleep(SETTLE_S)
            else:
                return

    @property
    def _floor(self) -> str:
        return f"{self._prefix}:floor"

    def _key(self, kind: str, id_: UUID) -> str:
        return f"{self._prefix}:{kind}:{id_}"
