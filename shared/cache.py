"""Answers remembered in Redis, dropped with the tables that they were read from (ADR 1101).

Each table has a generation: a random token in Redis, for each school. What is remembered carries the tokens that were
there *before* the database was asked, and counts only while they are still there. Whoever writes a table deletes its
token once the transaction has ended (`Database.tell_of_changes`), so a reader who was overtaken fills in nothing that
anybody will read.

Redis also keeps what must not be lost, and callers choose what they ask. So nothing new is remembered while Redis is
fuller than a cache may make it (`RedisRoom`); what is remembered is answered, and dropped, all the same.

Nobody waits for a Redis that is away. After the first failure the cache is in doubt: everybody asks the database, one
task asks Redis now and then, and as it answers again a new epoch begins, in which nothing from before counts: who was
cut off cannot know which drops were lost, neither can a process that starts.
"""

import asyncio
import hashlib
import random
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, Literal, Self, TypeVar
from uuid import UUID

import hiredis
import msgspec
import structlog
from prometheus_client import Counter

from shared.redis_pipe import RedisDown, RedisPipe
from shared.redis_room import RedisRoom
from shared.settings import ServiceSettings
from shared.transactions import Change

log = structlog.get_logger()

T = TypeVar("T")
CacheName = Literal["session", "school", "class_list", "timetable", "dashboard"]
Load = Callable[[], Awaitable[bytes]]

REQUESTS = Counter(
    "homeroom_cache_requests_total",
    "What became of questions to a cache: hit, miss, shared (waited for another's miss), bypass.",
    ("cache", "outcome"),
)
UNSTORED = Counter(
    "homeroom_cache_unstored_total", "Answers that were not remembered, for want of room in Redis.", ("cache",)
)
TOKEN_BYTES: Final = 8
LARGEST_BYTES: Final = 256 * 1024
"""What is larger is read anew each time."""
TRIED_EVERY_S: Final = 0.25


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of answer that may be remembered: how long, and until which tables are written."""

    cache: CacheName
    """Names its TTL in the settings, and its metrics."""
    tables: frozenset[str]
    """All that it is read from."""
    is_of_school: bool = True
    """False: the tables are written for people of any school, and a write drops the answers of all."""
    is_personal: bool = False
    """Names people: then no browser keeps it on a disk that pupils share."""


class Cache:
    """The cache of one service in one process. Use as an async context manager."""

    def __init__(self, service: str, settings: ServiceSettings, kinds: Collection[Cached]) -> None:
        self.kinds = frozenset(kinds)
        self._prefix = f"cache:{service}"
        self._settings = settings
        self._pipe = RedisPipe(settings.redis_url, timeout_s=settings.cache_timeout_s)
        self._room = RedisRoom(self._pipe, share=settings.cache_memory_share)
        self._of_school = frozenset(name for kind in kinds if kind.is_of_school for name in kind.tables)
        self._of_all = frozenset(name for kind in kinds if not kind.is_of_school for name in kind.tables)
        self._flights: dict[tuple[bytes, ...], asyncio.Task[bytes]] = {}
        self._filling: set[asyncio.Task[None]] = set()
        self._mending: asyncio.Task[None] | None = None
        self._is_in_doubt = True
        self._doubts = 0

    async def __aenter__(self) -> Self:
        """A process that starts begins a new epoch: its predecessor may have died between a commit and its drop."""
        if self.kinds:
            await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in [*self._filling, *self._flights.values(), *([self._mending] if self._mending else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await self._pipe.close()

    @property
    def is_in_use(self) -> bool:
        """False while Redis is away: then the database answers."""
        return not self._is_in_doubt

    async def value(self, kind: Cached, *, of: UUID | None, key: object, type_: type[T], read: Callable[[], Any]) -> T:
        """What `read` says, or said not long ago."""

        async def load() -> bytes:
            return msgspec.json.encode(await read())

        return msgspec.json.decode(await self.body(kind, of=of, key=(key, shape(type_)), load=load), type=type_)

    async def body(self, kind: Cached, *, of: UUID | None, key: object, load: Load) -> bytes:
        """The bytes that `load` makes, or made not long ago for the same question.

        `of` is the school, or None for what belongs to none; `key` tells what is asked and, where not everybody sees
        the same, for whom. Whether the caller may ask at all is decided before, on each request.
        """
        name, generations = self._names(kind, of, key)
        try:
            found, tokens = await self._look_up(name, generations)
        except (RedisDown, hiredis.ReplyError) as error:
            self._fail(error)
            # Without tokens nobody can tell whether another's reading began before one's own write.
            REQUESTS.labels(kind.cache, "bypass").inc()
            return await load()
        stamp = b"".join(tokens)
        if found is not None and found.startswith(stamp):
            REQUESTS.labels(kind.cache, "hit").inc()
            return found[len(stamp) :]
        return await asyncio.shield(self._flight(kind, name, stamp, load))

    async def drop(self, changes: Collection[Change]) -> None:
        """Let nothing count any more that was read from these tables. Never raises."""
        names = [
            *(self._generation(each.school_id, each.table) for each in changes if each.table in self._of_school),
            *(self._generation(None, each.table) for each in changes if each.table in self._of_all),
        ]
        if not names:
            return
        if self._mending is None:
            await self._begin()
        if self._is_in_doubt:
            self._doubts += 1
            return
        try:
            await self._pipe.execute("DEL", *names)
        except (RedisDown, hiredis.ReplyError):
            self._doubt()
        except asyncio.CancelledError:
            # It was sent, but nobody will see what became of it.
            self._doubt()
            raise

    def _names(self, kind: Cached, of: UUID | None, key: object) -> tuple[bytes, list[bytes]]:
        digest = hashlib.blake2b(msgspec.json.encode((sorted(kind.tables), key)), digest_size=16).hexdigest()
        scope = of if kind.is_of_school else None
        generations = [self._generation(scope, table) for table in sorted(kind.tables)]
        return f"{self._prefix}:{kind.cache}:{of or ''}:{digest}".encode(), [self._epoch, *generations]

    @property
    def _epoch(self) -> bytes:
        return f"{self._prefix}:epoch".encode()

    def _generation(self, school_id: UUID | None, table: str) -> bytes:
        return f"{self._prefix}:generation:{school_id or ''}:{table}".encode()

    async def _look_up(self, name: bytes, generations: Sequence[bytes]) -> tuple[bytes | None, Sequence[bytes]]:
        if self._is_in_doubt:
            raise RedisDown("in doubt")
        found, *tokens = await self._pipe.execute("MGET", name, *generations)
        if None in tokens:
            pairs = zip(generations, tokens, strict=True)
            tokens = await asyncio.gather(*(self._begun(generation, token) for generation, token in pairs))
        return found, tokens

    async def _begun(self, generation: bytes, token: bytes | None) -> bytes:
        """The generation's token; a new one, unless somebody else has just begun it."""
        if token is not None:
            return token
        own = secrets.token_bytes(TOKEN_BYTES)
        lives_s = round(2 * self._settings.longest_cache_s) + 1
        return await self._pipe.execute("SET", generation, own, "NX", "GET", "EX", lives_s) or own

    def _flight(self, kind: Cached, name: bytes, stamp: bytes, load: Load) -> asyncio.Task[bytes]:
        """One reading for all who ask the same in the same generation; it goes on when who began it leaves."""
        flight = self._flights.get((name, stamp))
        REQUESTS.labels(kind.cache, "shared" if flight else "miss").inc()
        if flight is None:
            flight = asyncio.create_task(self._read(kind, name, stamp, load))
            self._flights[name, stamp] = flight
            flight.add_done_callback(lambda done: self._land((name, stamp), done))
        return flight

    def _land(self, key: tuple[bytes, ...], flight: asyncio.Task[bytes]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled():
            # Whoever waits gets it; nobody may be left.
            flight.exception()

    async def _read(self, kind: Cached, name: bytes, stamp: bytes, load: Load) -> bytes:
        body = await load()
        if len(body) <= LARGEST_BYTES and not self._is_in_doubt:
            # Not all at once: what was read together would otherwise also be forgotten together.
            lives_ms = round(self._settings.cache_s(kind.cache) * 1000 * random.uniform(0.9, 1.0))
            filling = asyncio.create_task(self._fill(kind, name, stamp + body, max(1, lives_ms)))
            self._filling.add(filling)
            filling.add_done_callback(self._filling.discard)
        return body

    async def _fill(self, kind: Cached, name: bytes, value: bytes, lives_ms: int) -> None:
        try:
            if await self._room.takes(len(name) + len(value)):
                await self._pipe.execute("SET", name, value, "PX", lives_ms)
            else:
                UNSTORED.labels(kind.cache).inc()
        except (RedisDown, hiredis.ReplyError) as error:
            self._fail(error)

    async def _begin(self) -> None:
        """Wait for the first attempt only."""
        self._doubt()
        assert self._mending is not None
        await asyncio.wait({self._mending}, timeout=2 * self._settings.cache_timeout_s)

    def _fail(self, error: Exception) -> None:
        """A Redis that answers, if only that it is full, has lost no drop."""
        if isinstance(error, RedisDown):
            self._doubt()

    def _doubt(self) -> None:
        self._is_in_doubt = True
        self._doubts += 1
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._mend())

    async def _mend(self) -> None:
        """Begin a new epoch as soon as Redis answers, and once more when a drop was missed meanwhile."""
        while True:
            doubts = self._doubts
            try:
                await self._pipe.execute("DEL", self._epoch)
                await self._room.look()
            except (RedisDown, hiredis.ReplyError):
                await asyncio.sleep(TRIED_EVERY_S)
                continue
            if doubts == self._doubts:
                self._is_in_doubt = False
                log.info("cache_in_use")
                return


@lru_cache(maxsize=1000)
def shape(type_: Any) -> str:
    """Changes with the type: two releases that run side by side do not read each other's answers."""
    schema = msgspec.json.encode(msgspec.json.schema(type_), order="sorted")
    return hashlib.blake2b(schema, digest_size=8).hexdigest()
