"""What is remembered is never older than the last write, however readers, writers and a failing Redis meet."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hiredis import ReplyError
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError
from structlog.testing import capture_logs

from shared import redis_room
from shared.cache import REQUESTS, UNSTORED, Cache, Cached
from shared.ids import new_id
from shared.problems import NotFound
from shared.redis_room import LOOK_EVERY_S
from shared.replica import Asker, current_asker, serve
from shared.settings import ServiceSettings
from shared.testing.faults import OwnRedis, Wire, wire_to
from shared.testing.stack import Stack
from shared.transactions import Change, tables_written
from tools.embedded.valkey import EmbeddedValkey

BOOKS = Cached(cache="school", tables=frozenset({"book"}))
LOANS = Cached(cache="class_list", tables=frozenset({"book", "loan"}))
READERS = Cached(cache="session", tables=frozenset({"reader"}), is_of_school=False)
KINDS = (BOOKS, LOANS, READERS)


class Shelf:
    """Stands for a database: a value, how often it was read, and a gate at which a reading may be held up."""

    def __init__(self) -> None:
        self.value = 0
        self.readings = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> bytes:
        self.readings += 1
        seen = self.value
        await self.gate.wait()
        return str(seen).encode()


async def ask(cache: Cache, shelf: Shelf, school_id: UUID, kind: Cached = BOOKS, key: object = "") -> int:
    return int(await cache.body(kind, of=school_id, key=key, load=shelf.read))


def written(school_id: UUID | None, table: str = "book") -> list[Change]:
    return [Change(school_id, table)]


async def in_use(cache: Cache, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not cache.is_in_use:
            await asyncio.sleep(0.02)


def settings_of(stack: Stack, **overrides: object) -> ServiceSettings:
    return stack.settings(ServiceSettings, "school", **overrides)


@pytest.fixture
def settings(stack: Stack) -> ServiceSettings:
    # Not tight: a busy machine must not look like a Redis that is away.
    return settings_of(stack, cache_timeout_s=2)


@pytest.fixture
async def cache(settings: ServiceSettings) -> AsyncGenerator[Cache]:
    async with Cache("test", settings, KINDS) as cache:
        await in_use(cache)
        yield cache


@pytest.fixture
async def neighbour(settings: ServiceSettings, cache: Cache) -> AsyncGenerator[Cache]:
    """The same service in another process."""
    async with Cache("test", settings, KINDS) as neighbour:
        await in_use(neighbour)
        yield neighbour


@pytest.fixture
def school_id() -> UUID:
    return new_id()


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


# Remembering.


async def test_what_was_read_once_is_not_read_again(cache: Cache, neighbour: Cache, shelf: Shelf) -> None:
    school_id = new_id()

    asked = [
        await ask(cache, shelf, school_id),
        await ask(cache, shelf, school_id),
        await ask(neighbour, shelf, school_id),
    ]

    assert (asked, shelf.readings) == ([0, 0, 0], 1)


async def test_schools_and_keys_do_not_share(cache: Cache, school_id: UUID) -> None:
    own, foreign, other = Shelf(), Shelf(), Shelf()
    foreign.value, other.value = 1, 2

    asked = [
        await ask(cache, own, school_id),
        await ask(cache, foreign, new_id()),
        await ask(cache, other, school_id, key=("teacher", new_id())),
    ]

    assert asked == [0, 1, 2]


async def test_a_failure_is_not_remembered(cache: Cache, shelf: Shelf, school_id: UUID) -> None:
    async def nothing() -> bytes:
        raise NotFound

    with pytest.raises(NotFound):
        await cache.body(BOOKS, of=school_id, key="", load=nothing)

    assert await ask(cache, shelf, school_id) == 0


async def test_typed_values_come_back_as_they_were(cache: Cache, school_id: UUID) -> None:
    async def read() -> list[UUID]:
        return [school_id]

    asked = [await cache.value(BOOKS, of=school_id, key="ids", type_=list[UUID], read=read) for _ in range(2)]

    assert asked == [[school_id], [school_id]]


async def test_what_is_very_large_is_read_each_time(cache: Cache, school_id: UUID) -> None:
    readings = 0

    async def read() -> bytes:
        nonlocal readings
        readings += 1
        return bytes(300_000)

    for _ in range(2):
        await cache.body(BOOKS, of=school_id, key="", load=read)

    assert readings == 2


async def test_nothing_outlives_its_time(stack: Stack, shelf: Shelf, school_id: UUID) -> None:
    async with Cache("test", settings_of(stack, cache_timeout_s=2, cache_school_s=0.2), KINDS) as cache:
        await in_use(cache)
        await ask(cache, shelf, school_id)
        shelf.value = 1
        await asyncio.sleep(0.3)

        assert await ask(cache, shelf, school_id) == 1


# Dropping.


async def test_a_write_of_any_process_drops_what_was_read_from_the_table(
    cache: Cache, neighbour: Cache, shelf: Shelf, school_id: UUID
) -> None:
    for kind in (BOOKS, LOANS):
        await ask(cache, shelf, school_id, kind)
    shelf.value = 1
    await neighbour.drop(written(school_id, "loan"))

    assert await ask(cache, shelf, school_id, LOANS) == 1
    assert await ask(cache, shelf, school_id, BOOKS) == 0


async def test_a_write_at_one_school_leaves_the_others_alone(cache: Cache, shelf: Shelf, school_id: UUID) -> None:
    await ask(cache, shelf, school_id)
    await cache.drop(written(new_id()))
    shelf.value = 1

    assert await ask(cache, shelf, school_id) == 0


async def test_what_belongs_to_no_school_is_dropped_by_a_write_at_any(cache: Cache, shelf: Shelf) -> None:
    await cache.body(READERS, of=None, key="me", load=shelf.read)
    shelf.value = 1
    await cache.drop(written(new_id(), "reader"))

    assert await cache.body(READERS, of=None, key="me", load=shelf.read) == b"1"


async def overtaken(cache: Cache, shelf: Shelf, school_id: UUID) -> int:
    """What is read after a write during which a slow reader, who saw the old value, was on the way to the cache."""
    shelf.gate.clear()
    slow = asyncio.create_task(ask(cache, shelf, school_id))
    while not shelf.readings:
        await asyncio.sleep(0.01)
    shelf.value = 1
    await cache.drop(written(school_id))
    shelf.gate.set()
    assert await slow == 0
    while cache._filling:
        await asyncio.sleep(0.01)
    return await ask(cache, shelf, school_id)


async def test_a_reader_whom_a_write_overtook_fills_in_nothing(cache: Cache, shelf: Shelf, school_id: UUID) -> None:
    assert await overtaken(cache, shelf, school_id) == 1


class DeletesAndFills(Cache):
    """Control: the usual way. A write deletes the value, a reader puts in what it has read."""

    async def _look_up(self, name: bytes, generations: Sequence[bytes]) -> tuple[bytes | None, Sequence[bytes]]:
        self.name = name
        return await self._pipe.execute("GET", name), []

    async def drop(self, changes: Any) -> None:
        await self._pipe.execute("DEL", self.name)


async def test_control_deleting_and_filling_keeps_what_is_old(
    settings: ServiceSettings, shelf: Shelf, school_id: UUID
) -> None:
    async with DeletesAndFills("test", settings, KINDS) as cache:
        assert await overtaken(cache, shelf, school_id) == 0


async def test_who_has_written_never_reads_what_was_before(cache: Cache, neighbour: Cache, school_id: UUID) -> None:
    """Readers and writers of two processes at random: no read that begins after a write has ended is older."""
    dice, shelf, stale = random.Random(17), Shelf(), list[tuple[int, int]]()
    told = [0]

    async def nap() -> None:
        await asyncio.sleep(dice.random() * 0.003)

    async def slowly() -> bytes:
        await nap()
        seen = shelf.value
        await nap()
        return str(seen).encode()

    async def look(own: Cache) -> None:
        for _ in range(150):
            await nap()
            done = told[0]
            seen = int(await own.body(BOOKS, of=school_id, key="", load=slowly))
            if seen < done:
                stale.append((seen, done))

    async def tell(own: Cache) -> None:
        for _ in range(60):
            await nap()
            shelf.value += 1
            mine = shelf.value
            await own.drop(written(school_id))
            told[0] = max(told[0], mine)

    await asyncio.gather(tell(cache), tell(neighbour), *(look(each) for each in (cache, neighbour) * 4))

    assert stale == []
    assert told[0] == 120


# Together.


async def test_what_is_remembered_is_read_for_nobody(cache: Cache, school_id: UUID) -> None:
    """Who serves one caller may be sent to a replica that lacks what others wrote."""
    served: list[Asker | None] = []

    async def read() -> bytes:
        served.append(current_asker())
        return b"0"

    serve(Asker(user_id=new_id(), only_reads=True))
    await cache.body(BOOKS, of=school_id, key="", load=read)

    assert current_asker() is not None
    assert served == [None]
    serve(None)


async def test_fifty_who_ask_at_once_are_one_reading(cache: Cache, shelf: Shelf, school_id: UUID) -> None:
    shelf.gate.clear()
    before = counted("shared")
    asking = [asyncio.create_task(ask(cache, shelf, school_id)) for _ in range(50)]
    while counted("shared") < before + 49:
        await asyncio.sleep(0.01)
    shelf.gate.set()

    assert set(await asyncio.gather(*asking)) == {0}
    assert shelf.readings == 1


async def test_who_leaves_first_takes_nobody_along(cache: Cache, shelf: Shelf, school_id: UUID) -> None:
    shelf.gate.clear()
    leader = asyncio.create_task(ask(cache, shelf, school_id))
    while not shelf.readings:
        await asyncio.sleep(0.01)
    before = counted("shared")
    followers = [asyncio.create_task(ask(cache, shelf, school_id)) for _ in range(3)]
    while counted("shared") < before + 3:
        await asyncio.sleep(0.01)
    leader.cancel()
    with suppress(asyncio.CancelledError):
        await leader
    shelf.gate.set()

    assert await asyncio.gather(*followers) == [0, 0, 0]
    assert shelf.readings == 1


async def test_who_has_just_written_does_not_join_a_reading_that_began_before(
    cache: Cache, shelf: Shelf, school_id: UUID
) -> None:
    shelf.gate.clear()
    before = asyncio.create_task(ask(cache, shelf, school_id))
    while not shelf.readings:
        await asyncio.sleep(0.01)
    shelf.value = 1
    await cache.drop(written(school_id))
    after = asyncio.create_task(ask(cache, shelf, school_id))
    await asyncio.sleep(0.1)
    shelf.gate.set()

    assert (await before, await after) == (0, 1)


def counted(outcome: str, cache: str = "school") -> float:
    return REQUESTS.labels(cache, outcome)._value.get()


async def test_hits_and_misses_are_counted(cache: Cache, shelf: Shelf, school_id: UUID) -> None:
    before = counted("hit"), counted("miss")
    for _ in range(3):
        await ask(cache, shelf, school_id)

    assert (counted("hit") - before[0], counted("miss") - before[1]) == (2, 1)


# While Redis is away.


@pytest.fixture
def own_redis(tmp_path: Path) -> Generator[OwnRedis]:
    redis = OwnRedis(tmp_path / "redis")
    yield redis
    redis.stop()


@pytest.fixture
async def wire(own_redis: OwnRedis) -> AsyncGenerator[Wire]:
    async with wire_to(own_redis.port) as wire:
        yield wire


async def killed(redis: OwnRedis, _: Wire) -> Callable[[], Awaitable[None]]:
    await redis.kill()
    return redis.start


async def frozen(redis: OwnRedis, _: Wire) -> Callable[[], Awaitable[None]]:
    await redis.freeze()
    return redis.thaw


async def slow(_: OwnRedis, wire: Wire) -> Callable[[], Awaitable[None]]:
    wire.delay_s = 0.5

    async def hurry() -> None:
        wire.delay_s = 0.0

    return hurry


async def cut_off(_: OwnRedis, wire: Wire) -> Callable[[], Awaitable[None]]:
    wire.cut()

    async def nothing() -> None:
        pass

    return nothing


Fault = Callable[[OwnRedis, Wire], Awaitable[Callable[[], Awaitable[None]]]]


class Outage(msgspec.Struct, frozen=True):
    """A fault, and how often somebody asks, and so notices it, before the write."""

    fault: Fault
    questions: int


OUTAGES = pytest.mark.parametrize(
    "outage",
    [Outage(killed, 0), Outage(killed, 1), Outage(frozen, 1), Outage(slow, 1), Outage(cut_off, 0), Outage(cut_off, 1)],
    ids=["killed unnoticed", "killed", "frozen", "slow", "cut off in the moment of the drop", "cut off"],
)


async def written_while_away(
    cache: Cache, shelf: Shelf, school_id: UUID, outage: Outage, redis: OwnRedis, wire: Wire
) -> tuple[int, int]:
    """What is read right after a write that Redis did not hear of, and when Redis is back."""
    await in_use(cache)
    await ask(cache, shelf, school_id)
    assert (await ask(cache, shelf, school_id), shelf.readings) == (0, 1)
    mend = await outage.fault(redis, wire)
    for _ in range(outage.questions):
        assert await ask(cache, shelf, school_id) == 0
    shelf.value = 1
    await cache.drop(written(school_id))
    meanwhile = await ask(cache, shelf, school_id)
    await mend()
    await in_use(cache)
    return meanwhile, await ask(cache, shelf, school_id)


@OUTAGES
async def test_a_drop_that_redis_missed_is_made_up_for(
    stack: Stack, own_redis: OwnRedis, wire: Wire, shelf: Shelf, school_id: UUID, outage: Outage
) -> None:
    settings = settings_of(stack, redis_url=f"redis://127.0.0.1:{wire.port}/0", cache_timeout_s=0.2)
    async with Cache("test", settings, KINDS) as cache:
        assert await written_while_away(cache, shelf, school_id, outage, own_redis, wire) == (1, 1)


class Forgets(Cache):
    """Control: goes on as before as soon as Redis answers."""

    async def _mend(self) -> None:
        while not await self._pipe.is_ready():
            await asyncio.sleep(0.1)
        await self._room.look()
        self._is_in_doubt = False


@OUTAGES
async def test_control_without_a_new_epoch_what_is_old_comes_back(
    stack: Stack, own_redis: OwnRedis, wire: Wire, shelf: Shelf, school_id: UUID, outage: Outage
) -> None:
    settings = settings_of(stack, redis_url=f"redis://127.0.0.1:{wire.port}/0", cache_timeout_s=0.2)
    async with Forgets("test", settings, KINDS) as cache:
        assert (await written_while_away(cache, shelf, school_id, outage, own_redis, wire))[1] == 0


async def test_a_process_that_starts_trusts_nothing_from_before(
    settings: ServiceSettings, cache: Cache, shelf: Shelf, school_id: UUID
) -> None:
    """Its predecessor may have been killed between a commit and the drop."""
    await ask(cache, shelf, school_id)
    shelf.value = 1

    async with Cache("test", settings, KINDS) as successor:
        await in_use(successor)

        assert await ask(successor, shelf, school_id) == 1
        assert await ask(cache, shelf, school_id) == 1


async def test_nobody_waits_for_a_redis_that_never_was(stack: Stack, shelf: Shelf, school_id: UUID) -> None:
    settings = settings_of(stack, redis_url="redis://127.0.0.1:1/0")
    async with Cache("test", settings, KINDS) as cache:
        async with asyncio.timeout(4):  # a wait of 25 ms for each would be five seconds
            asked = [await ask(cache, shelf, school_id) for _ in range(200)]
        await cache.drop(written(school_id))

        assert (set(asked), shelf.readings) == ({0}, 200)
        assert not cache.is_in_use


# While Redis has little room left.

MOST_BYTES = 8 * 1024 * 1024
ANSWERS_BYTES = [64 * 1024] * 256 + [64 * 1024 // 2**halved for halved in range(1, 11) for _ in range(20)]
"""Twice what Redis can hold, and then smaller ones, for which there is room when there is none for large ones."""


@pytest.fixture
def small_server(tmp_path: Path) -> Generator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "small", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def small_redis(small_server: EmbeddedValkey) -> AsyncGenerator[Redis]:
    """Holds sessions that were revoked beside what is remembered, as the real one; it refuses when it is full."""
    async with Redis.from_url(small_server.url) as redis:
        await redis.config_set("maxmemory", MOST_BYTES)
        yield redis


@pytest.fixture
def small_settings(stack: Stack, small_server: EmbeddedValkey) -> ServiceSettings:
    return settings_of(stack, redis_url=small_server.url, cache_timeout_s=5)


async def revoked(redis: Redis) -> bool:
    """Whether a session can be ended for all gateways."""
    try:
        return bool(await redis.set(f"revoked:session:{new_id()}", 1, ex=900))
    except OutOfMemoryError:
        return False


async def used_bytes(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def flooded(caches: Sequence[Cache], school_id: UUID, redis: Redis) -> set[bool]:
    """What became of sessions that were ended while somebody asked for more than Redis can hold."""
    ended: set[bool] = set()
    for number, size in enumerate(ANSWERS_BYTES):
        await caches[number % len(caches)].body(BOOKS, of=school_id, key=number, load=partial(made, size))
        ended.add(await revoked(redis))
    return ended


async def made(size_bytes: int) -> bytes:
    return bytes(size_bytes)


@pytest.mark.parametrize("looks_every_s", [0.0, LOOK_EVERY_S])
async def test_made_up_questions_leave_room_for_what_must_not_be_lost(
    small_settings: ServiceSettings,
    small_redis: Redis,
    shelf: Shelf,
    school_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
    looks_every_s: float,
) -> None:
    monkeypatch.setattr(redis_room, "LOOK_EVERY_S", looks_every_s)
    unstored = UNSTORED.labels("school")._value
    before = unstored.get()
    async with Cache("test", small_settings, KINDS) as cache, Cache("test", small_settings, KINDS) as other:
        await in_use(cache)
        await in_use(other)
        await ask(cache, shelf, school_id, LOANS)
        ended = await flooded([cache, other], school_id, small_redis)
        await ask(cache, shelf, school_id, LOANS)

        assert ended == {True}
        # What Redis needs for itself beside an answer comes on top of the half.
        assert await used_bytes(small_redis) < 0.6 * MOST_BYTES
        assert shelf.readings == 1
        assert unstored.get() > before


class Hoards(Cache):
    """Control: stores whatever is asked."""

    async def _fill(self, kind: Cached, name: bytes, value: bytes, lives_ms: int) -> None:
        with suppress(ReplyError):
            await self._pipe.execute("SET", name, value, "PX", lives_ms)


async def test_control_without_a_limit_no_session_can_be_ended(
    small_settings: ServiceSettings, small_redis: Redis, school_id: UUID
) -> None:
    async with Hoards("test", small_settings, KINDS) as cache:
        await in_use(cache)

        assert False in await flooded([cache], school_id, small_redis)


async def test_a_redis_that_others_have_filled_takes_nothing_new_until_it_has_room(
    small_settings: ServiceSettings,
    small_redis: Redis,
    shelf: Shelf,
    school_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_room, "LOOK_EVERY_S", 0.0)
    async with Cache("test", small_settings, KINDS) as cache:
        await in_use(cache)
        await ask(cache, shelf, school_id)
        for _ in range(8):
            await small_redis.rpush("events", bytes(MOST_BYTES // 16))
        held = [await ask(cache, shelf, school_id) for _ in range(2)]
        readings_of_held = shelf.readings
        shelf.value = 1
        await cache.drop(written(school_id))
        new = [await ask(cache, shelf, school_id) for _ in range(2)]
        readings_of_new = shelf.readings - readings_of_held
        await small_redis.delete("events")
        again = [await ask(cache, shelf, school_id) for _ in range(3)]

        assert (held, readings_of_held) == ([0, 0], 1)
        assert (new, readings_of_new) == ([1, 1], 2)
        assert again == [1, 1, 1]
        assert await small_redis.keys("cache:test:school:*")


async def test_how_full_redis_is_is_asked_now_and_then(
    small_settings: ServiceSettings, small_redis: Redis, school_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_room, "LOOK_EVERY_S", 3600.0)
    async with Cache("test", small_settings, KINDS) as cache:
        await in_use(cache)
        await small_redis.config_resetstat()
        await flooded([cache], school_id, small_redis)

        assert "cmdstat_info" not in await small_redis.info("commandstats")


async def test_that_redis_is_full_is_told_once(
    small_settings: ServiceSettings, small_redis: Redis, school_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_room, "LOOK_EVERY_S", 0.0)
    with capture_logs() as told:
        async with Cache("test", small_settings, KINDS) as cache:
            await in_use(cache)
            await flooded([cache], school_id, small_redis)

    assert [each["event"] for each in told].count("cache_full") == 1


# What a statement writes.


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT a FROM b WHERE c FOR UPDATE", set[str]()),
        ("SELECT a FROM b FOR NO KEY UPDATE OF b SKIP LOCKED", set[str]()),
        ("INSERT INTO b (c) VALUES (1) ON CONFLICT (c) DO UPDATE\nSET c = 2", {"b"}),
        (
            "WITH gone AS (DELETE FROM b RETURNING id), new AS (INSERT\nINTO c SELECT 1) UPDATE d SET e = 1",
            {"b", "c", "d"},
        ),
    ],
    ids=["lock", "lock of", "upsert", "all at once"],
)
def test_the_tables_that_a_statement_writes_are_seen(sql: str, tables: set[str]) -> None:
    assert tables_written(sql) == tables
