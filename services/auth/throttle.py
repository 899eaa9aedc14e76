"""Attempts are counted before a password is looked at, all counters in one step, so that parallel ones cannot slip by.

Without Redis each process counts for itself, more strictly: guessing never becomes free. Nobody waits for a Redis that
is away, but for those who asked in the moment in which it went.
"""

import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import hiredis
import msgspec
import structlog

from services.auth.settings import Settings
from shared.problems import TooManyRequests, Unavailable
from shared.redis_pipe import RedisDown, RedisPipe

log = structlog.get_logger()

# Answers the milliseconds to wait, or 0 and then has counted.
TAKE: Final = """
local wait = 0
for index, key in ipairs(KEYS) do
    local taken = tonumber(redis.call('GET', key) or '0')
    if taken >= tonumber(ARGV[index + 1]) then
        wait = math.max(wait, redis.call('PTTL', key), 1)
    end
end
if wait > 0 then
    return wait
end
for _, key in ipairs(KEYS) do
    if redis.call('INCR', key) == 1 then
        redis.call('PEXPIRE', key, ARGV[1])
    end
end
return 0
"""
GIVE_BACK: Final = """
for _, key in ipairs(KEYS) do
    if tonumber(redis.call('GET', key) or '0') > 0 then
        redis.call('DECR', key)
    end
end
"""
LOCAL_LIMIT: Final = 5
LOCAL_KEYS: Final = 50_000


class TooManyAttempts(TooManyRequests):
    slug, title = "too-many-attempts", "Too many attempts; wait before the next one"


class Bucket(msgspec.Struct, frozen=True):
    key: str
    limit: int
    is_strict: bool = False
    """Without Redis it holds no more than `LOCAL_LIMIT`, as there are several processes."""


class Throttle:
    """Counts attempts of one kind on an account (or a code) from an address."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = RedisPipe(settings.redis_url, timeout_s=settings.redis_timeout_s)
        self._local = LocalCounters(settings.attempt_window_s)

    async def close(self) -> None:
        await self._redis.close()

    async def count(self, kind: str, account: str, ip: str) -> None:
        """Count one attempt. Raises TooManyAttempts, and then has not counted it."""
        wait_ms = await self._take(self._buckets(kind, account, ip))
        if wait_ms > 0:
            raise TooManyAttempts(headers={"Retry-After": str(-(-wait_ms // 1000))})

    async def has_room_for_mail(self, mailbox: str) -> bool:
        """Count one mail to it, unless it got so many of late; who asks for one is not to be told."""
        return await self._take([Bucket(f"throttle:mail:{_digest(mailbox)}", self._settings.reset_mails)]) == 0

    @asynccontextmanager
    async def attempt(self, kind: str, account: str, ip: str) -> AsyncGenerator[None]:
        """Count an attempt, and no longer once it was right, or could not be made at all (Unavailable).

        Who was right starts anew at this address, and has taken nothing from those behind the same address, who may be
        a whole school; what others tried elsewhere stays counted. Raises TooManyAttempts.
        """
        await self.count(kind, account, ip)
        own, *shared = self._buckets(kind, account, ip)
        try:
            yield
        except Unavailable:
            await self._give_back([own, *shared])
            raise
        self._local.forget(own.key)
        await self._execute("DEL", own.key)
        await self._give_back(shared)

    async def _give_back(self, buckets: Sequence[Bucket]) -> None:
        keys = [bucket.key for bucket in buckets]
        self._local.give_back(keys)
        await self._execute("EVAL", GIVE_BACK, len(keys), *keys)

    async def _execute(self, *command: str | int) -> None:
        try:
            await self._redis.execute(*command)
        except (RedisDown, hiredis.ReplyError) as error:
            log.warning("throttle_is_local", error=type(error).__name__)

    async def _take(self, buckets: Sequence[Bucket]) -> int:
        """The milliseconds to wait, or 0 and then has counted."""
        keys, limits = [bucket.key for bucket in buckets], [bucket.limit for bucket in buckets]
        window_ms = self._settings.attempt_window_s * 1000
        try:
            return await self._redis.execute("EVAL", TAKE, len(keys), *keys, window_ms, *limits)
        except (RedisDown, hiredis.ReplyError) as error:
            log.warning("throttle_is_local", error=type(error).__name__)
            return self._local.take(buckets)

    def _buckets(self, kind: str, account: str, ip: str) -> list[Bucket]:
        who = _digest(account)
        return [
            Bucket(f"throttle:{kind}:{who}:{ip}", self._settings.attempts),
            Bucket(f"throttle:{kind}:{who}", self._settings.attempts_per_account, is_strict=True),
            Bucket(f"throttle:{kind}:ip:{ip}", self._settings.attempts_per_ip),
        ]


def _digest(account: str) -> str:
    return hashlib.sha256(account.encode()).hexdigest()[:32]


class LocalCounters:
    """What one process counts while Redis is away: at most five attempts on an account, from wherever."""

    def __init__(self, window_s: int) -> None:
        self._window_s = window_s
        self._taken: dict[str, tuple[int, float]] = {}

    def take(self, buckets: Sequence[Bucket]) -> int:
        """The milliseconds to wait, or 0 and then has counted."""
        now = time.monotonic()
        if len(self._taken) > LOCAL_KEYS:
            self._taken = {key: taken for key, taken in self._taken.items() if taken[1] > now}
        found = [(bucket, *self._count(bucket, now)) for bucket in buckets]
        waits = [ends - now for bucket, count, ends in found if count >= _local_limit(bucket)]
        if waits:
            return max(1, round(max(waits) * 1000))
        for bucket, count, ends in found:
            self._taken[bucket.key] = (count + 1, ends)
        return 0

    def forget(self, key: str) -> None:
        self._taken.pop(key, None)

    def give_back(self, keys: Sequence[str]) -> None:
        for key in keys:
            count, ends = self._taken.get(key, (0, 0.0))
            if count > 0:
                self._taken[key] = (count - 1, ends)

    def _count(self, bucket: Bucket, now: float) -> tuple[int, float]:
        count, ends = self._taken.get(bucket.key, (0, 0.0))
        return (count, ends) if ends > now else (0, now + self._window_s)


def _local_limit(bucket: Bucket) -> int:
    return min(bucket.limit, LOCAL_LIMIT) if bucket.is_strict else bucket.limit
