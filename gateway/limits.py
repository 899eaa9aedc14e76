"""Who may ask how often, and whose session is over: one question to Redis for each request (ADR 0602).

GCRA (the generic cell rate algorithm): of each quota only the "theoretical arrival time" is kept, the instant at which
it is whole again. Redis reads its own clock, so gateways with different clocks still count as one.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha1
from ipaddress import IPv6Address, ip_address
from typing import Final

import hiredis
import msgspec
import structlog
from prometheus_client import Counter

from gateway.settings import Quota
from shared.identity import Caller
from shared.problems import TooManyRequests
from shared.redis_pipe import RedisDown, RedisPipe

log = structlog.get_logger()

REMEMBERED: Final = 50_000
COUNTED: Final = Counter("homeroom_limiter_total", "What the limiter said.", ("quota", "outcome"))
LOCAL: Final = Counter("homeroom_limiter_local_total", "Requests counted in this process, as Redis did not answer.")

# KEYS: the session's and the user's revocation, then one key for each quota.
# ARGV: when the token was issued (unix seconds), then requests and window (microseconds) of each quota.
# Answers {1 admitted | 0 refused | -1 revoked, quota that decides, remaining, reset in µs, retry after µs}.
SCRIPT: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then return {-1, 0, 0, 0, 0} end
local since = redis.call('GET', KEYS[2])
if since and tonumber(ARGV[1]) <= (tonumber(since) or 9e15) then return {-1, 0, 0, 0, 0} end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local arrivals = {}
local decides, remaining, reset, longest, refused_by = 1, 9e15, 0, 0, 0
for i = 1, #KEYS - 2 do
  local requests, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  -- Whole microseconds: nothing is rounded from then on, so a burst admits exactly `requests`.
  local step = math.max(1, math.floor(window / requests))
  local arrival = math.max(tonumber(redis.call('GET', KEYS[i + 2]) or 0), now) + step
  local excess = arrival - now - step * requests
  if excess > 0 then
    if excess > longest then longest, refused_by, reset = excess, i, arrival - step - now end
  else
    local left = math.floor(-excess / step)
    if left < remaining then decides, remaining, reset = i, left, arrival - now end
  end
  arrivals[i] = arrival
end
if refused_by > 0 then return {0, refused_by, 0, reset, longest} end
for i = 1, #arrivals do
  redis.call('SET', KEYS[i + 2], string.format('%.0f', arrivals[i]), 'PX', math.ceil((arrivals[i] - now) / 1000) + 1)
end
return {1, decides, remaining, reset, 0}
"""
DIGEST: Final = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`quota` is the one nearest to its end, or the one that refused."""

    is_admitted: bool
    is_revoked: bool = False
    quota: Quota
    remaining: int = 0
    reset_s: int = 0
    """Until the quota is whole again."""
    retry_after_s: int = 0

    @property
    def outcome(self) -> str:
        if self.is_revoked:
            return "revoked"
        return "admitted" if self.is_admitted else "refused"

    def require_admitted(self) -> None:
        """Raises TooManyRequests."""
        if not self.is_admitted:
            told = f"{self.quota.requests} requests in {self.quota.window_s} s are allowed."
            raise TooManyRequests(f"{told} Try again in {self.retry_after_s} s.")

    def headers(self) -> list[tuple[bytes, bytes]]:
        """IETF draft httpapi-ratelimit-headers, and the older spelling that most clients know."""
        quota = self.quota
        fields = [
            ("ratelimit-policy", f'"{quota.name}";q={quota.requests};w={quota.window_s}'),
            ("ratelimit", f'"{quota.name}";r={self.remaining};t={self.reset_s}'),
            ("ratelimit-limit", str(quota.requests)),
            ("ratelimit-remaining", str(self.remaining)),
            ("ratelimit-reset", str(self.reset_s)),
            *([] if self.is_admitted else [("retry-after", str(self.retry_after_s))]),
        ]
        return [(name.encode(), value.encode()) for name, value in fields]


class Limiter:
    """The same answer from every gateway, while Redis answers; from each its own part while it does not."""

    def __init__(
        self, redis: RedisPipe, *, anonymous: Quota, credentials: Quota, user: Quota, school: Quota, replicas: int = 1
    ) -> None:
        self._redis = redis
        self._anonymous = anonymous
        self._credentials = credentials
        self._user = user
        self._school = school
        self._local = LocalLimiter(replicas)

    async def admit(self, address: str, caller: Caller | None, *, takes_credentials: bool = False) -> Verdict:
        """Count one request of `caller`, or of `address` when nobody is signed in: apart, if it is for signing in."""
        verdict = await self._judge(self._counted(address, caller, takes_credentials=takes_credentials), caller)
        COUNTED.labels(verdict.quota.name, verdict.outcome).inc()
        return verdict

    async def _judge(self, counted: Sequence[tuple[str, Quota]], caller: Caller | None) -> Verdict:
        session, user, issued_at = revocation(caller)
        keys = [session, user, *(key for key, _ in counted)]
        numbers = [value for _, quota in counted for value in (quota.requests, quota.window_s * 1_000_000)]
        try:
            reply = await self._run(keys, [issued_at, *numbers])
        except (RedisDown, hiredis.ReplyError) as error:
            log.debug("limits_are_local", error=type(error).__name__)
            LOCAL.inc()
            return self._local.admit(counted)
        return _verdict(reply, [quota for _, quota in counted])

    async def _run(self, keys: list[str], arguments: list[int]) -> list[int]:
        try:
            return await self._redis.execute("EVALSHA", DIGEST, len(keys), *keys, *arguments)
        except hiredis.ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            return await self._redis.execute("EVAL", SCRIPT, len(keys), *keys, *arguments)

    def _counted(self, address: str, caller: Caller | None, *, takes_credentials: bool) -> Sequence[tuple[str, Quota]]:
        if caller is None:
            quota = self._credentials if takes_credentials else self._anonymous
            return [(f"limit:{quota.name}:{network_of(address)}", quota)]
        own = (f"limit:user:{caller.user_id}", self._user)
        return [own, (f"limit:school:{caller.school_id}", self._school)] if caller.school_id else [own]


class LocalLimiter:
    """The same rule in this process's memory; forgets those who came longest ago first."""

    def __init__(self, replicas: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._replicas = replicas
        self._clock = clock
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    def admit(self, counted: Sequence[tuple[str, Quota]]) -> Verdict:
        now = self._clock()
        quotas = [(key, _part(quota, self._replicas)) for key, quota in counted]
        arrivals = [max(self._arrivals.get(key, 0.0), now) + quota.window_s / quota.requests for key, quota in quotas]
        left_s = [quota.window_s - (arrival - now) for (_, quota), arrival in zip(quotas, arrivals, strict=True)]
        worst = min(range(len(quotas)), key=lambda i: left_s[i] * quotas[i][1].requests / quotas[i][1].window_s)
        quota = quotas[worst][1]
        if min(left_s) < -1e-6:
            wait_s = math.ceil(-min(left_s))
            return Verdict(is_admitted=False, quota=quota, reset_s=quota.window_s, retry_after_s=max(1, wait_s))
        for (key, _), arrival in zip(quotas, arrivals, strict=True):
            self._remember(key, arrival)
        remaining = math.floor(left_s[worst] * quota.requests / quota.window_s + 1e-6)
        reset_s = math.ceil(quota.window_s - left_s[worst])
        return Verdict(is_admitted=True, quota=quota, remaining=remaining, reset_s=reset_s)

    def _remember(self, key: str, arrival: float) -> None:
        self._arrivals[key] = arrival
        self._arrivals.move_to_end(key)
        if len(self._arrivals) > REMEMBERED:
            self._arrivals.popitem(last=False)


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str:
    """Whom an address counts as: a household or a school has a whole /64 of IPv6 to choose from."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


def revocation(caller: Caller | None) -> tuple[str, str, int]:
    """A revoked session stays so; a user's tokens are refused when they were issued before the revocation."""
    if caller is None:
        return "revoked:session:", "revoked:user:", 0
    return f"revoked:session:{caller.session_id}", f"revoked:user:{caller.user_id}", caller.issued_at


def _verdict(reply: list[int], quotas: Sequence[Quota]) -> Verdict:
    outcome, decides, remaining, reset_us, retry_us = reply
    return Verdict(
        is_admitted=outcome == 1,
        is_revoked=outcome == -1,
        quota=quotas[max(decides, 1) - 1],
        remaining=remaining,
        reset_s=math.ceil(reset_us / 1_000_000),
        retry_after_s=math.ceil(retry_us / 1_000_000),
    )


def _part(quota: Quota, replicas: int) -> Quota:
    return Quota(quota.name, max(1, quota.requests // replicas), quota.window_s)
