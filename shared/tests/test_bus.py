"""What both transports promise, in one suite (ADR 0301)."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from shared.bus import Bus, Outcome, Outgoing, bus_at
from shared.ids import new_id
from shared.testing.stack import Stack
from tools.embedded.rabbitmq import is_installed

DELAYS_S = (0.1, 0.3)
PROBE = b"Is anybody there?"
TRANSPORTS = ["valkey", *(["amqp"] if is_installed() else [])]


@pytest.fixture(params=TRANSPORTS)
def url(request: pytest.FixtureRequest, stack: Stack) -> str:
    url = stack.bus_url if request.param == "valkey" else stack.amqp_url
    assert url is not None
    return url


@pytest.fixture
async def bus(url: str) -> AsyncGenerator[Bus]:
    bus = bus_at(url, retry_delays_s=DELAYS_S)
    yield bus
    await bus.close()


class Consumer:
    """Records what it is handed, and answers as it is told."""

    def __init__(self, answer: Callable[[bytes], Awaitable[Outcome]] | None = None) -> None:
        self.seen: list[bytes] = []
        self.times: list[float] = []
        self._answer = answer

    async def handle(self, payload: bytes) -> Outcome:
        self.seen.append(payload)
        self.times.append(asyncio.get_running_loop().time())
        return await self._answer(payload) if self._answer else Outcome.DONE

    async def has_seen(self, count: int, timeout_s: float = 60) -> None:
        async with asyncio.timeout(timeout_s):
            while len(self.seen) < count:
                await asyncio.sleep(0.02)


async def retried(payload: bytes) -> Outcome:
    return Outcome.RETRY if payload.startswith(b"poison") else Outcome.DONE


async def dead(_: bytes) -> Outcome:
    return Outcome.DEAD


@asynccontextmanager
async def consuming(bus: Bus, queue: str, types: list[str], consumer: Consumer) -> AsyncGenerator[None]:
    """While events of these types reach the consumer."""
    reached = asyncio.Event()

    async def handle(payload: bytes) -> Outcome:
        if payload != PROBE:
            return await consumer.handle(payload)
        reached.set()
        return Outcome.DONE

    task = asyncio.create_task(bus.consume(queue, types, handle))
    try:
        async with asyncio.timeout(60):
            while not reached.is_set():
                await bus.publish([message(types[0], PROBE)])
                await asyncio.sleep(0.1)
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def message(type_: str, payload: bytes = b"payload") -> Outgoing:
    return Outgoing(id=str(new_id()), type=type_, payload=payload)


def fresh() -> tuple[str, str]:
    """A queue and a type that no other test uses."""
    return f"queue-{new_id()}", f"test.{new_id()}.v1"


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_each_consuming_service_gets_each_event(bus: Bus) -> None:
    (one, type_), (other, _) = fresh(), fresh()
    first, second = Consumer(), Consumer()
    async with consuming(bus, one, [type_], first), consuming(bus, other, [type_], second):
        await bus.publish([message(type_, b"%d" % number) for number in range(300)])
        await first.has_seen(300)
        await second.has_seen(300)

    assert sorted(first.seen) == sorted(second.seen) == sorted(b"%d" % number for number in range(300))


async def test_a_service_gets_only_the_types_it_asked_for(bus: Bus) -> None:
    (queue, type_), (_, other_type) = fresh(), fresh()
    consumer = Consumer()
    async with consuming(bus, queue, [type_], consumer):
        await bus.publish([message(other_type, b"not asked for"), message(type_, b"asked for")])
        await consumer.has_seen(1)
        await asyncio.sleep(0.3)

    assert consumer.seen == [b"asked for"]


async def test_an_event_waits_for_a_service_that_never_ran(bus: Bus) -> None:
    queue, type_ = fresh()
    await bus.publish([message(type_)])

    consumer = Consumer()
    async with consuming(bus, queue, [type_], consumer):
        await consumer.has_seen(1)


async def test_an_event_waits_for_a_service_that_is_down(bus: Bus) -> None:
    queue, type_ = fresh()
    async with consuming(bus, queue, [type_], Consumer()):
        pass
    await bus.publish([message(type_)])

    consumer = Consumer()
    async with consuming(bus, queue, [type_], consumer):
        await consumer.has_seen(1)


async def test_a_failure_is_tried_again_after_growing_delays_and_holds_up_nobody(bus: Bus) -> None:
    queue, type_ = fresh()
    consumer = Consumer(retried)
    async with consuming(bus, queue, [type_], consumer):
        await bus.publish([message(type_, b"poison")])
        await consumer.has_seen(1)
        await bus.publish([message(type_, b"neighbour")])
        await consumer.has_seen(4)
        await until(lambda: has_dead_letters(bus, queue, 1))

    attempts = [at for at, payload in zip(consumer.times, consumer.seen, strict=True) if payload == b"poison"]
    assert len(attempts) == 1 + len(DELAYS_S)
    assert attempts[1] - attempts[0] >= DELAYS_S[0]
    assert attempts[2] - attempts[1] >= DELAYS_S[1]
    assert consumer.seen[1] == b"neighbour"


async def has_dead_letters(bus: Bus, queue: str, count: int) -> bool:
    return len(await bus.dead_letters(queue)) == count


async def has_counted(bus: Bus, queue: str, count: int) -> bool:
    return await bus.count_dead_letters(queue) == count


async def test_a_queue_that_nobody_ever_asked_for_has_no_dead_letters(bus: Bus) -> None:
    queue, _ = fresh()

    assert await bus.count_dead_letters(queue) == 0


async def test_what_cannot_be_handled_is_a_dead_letter_at_once(bus: Bus) -> None:
    queue, type_ = fresh()
    consumer = Consumer(dead)
    async with consuming(bus, queue, [type_], consumer):
        await bus.publish([message(type_, b"unreadable")])
        await until(lambda: has_dead_letters(bus, queue, 1))

    await until(lambda: has_counted(bus, queue, 1))
    letters = await bus.dead_letters(queue)
    assert [(letter.type, letter.payload) for letter in letters] == [(type_, b"unreadable")]
    assert len(consumer.seen) == 1


async def test_a_dead_letter_can_be_handed_over_again(bus: Bus) -> None:
    queue, type_ = fresh()
    async with consuming(bus, queue, [type_], Consumer(dead)):
        await bus.publish([message(type_, b"one"), message(type_, b"other")])
        await until(lambda: has_dead_letters(bus, queue, 2))
    letters = await bus.dead_letters(queue)
    wanted = next(letter for letter in letters if letter.payload == b"other")

    assert await bus.replay(queue, [wanted.id]) == 1
    consumer = Consumer()
    async with consuming(bus, queue, [type_], consumer):
        await consumer.has_seen(1)

    assert consumer.seen == [b"other"]
    assert [letter.payload for letter in await bus.dead_letters(queue)] == [b"one"]


async def test_what_a_consumer_had_in_hand_when_it_died_is_handed_over_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.valkey.LEASE_MS", 500)
    queue, type_ = fresh()
    first, second = bus_at(url), bus_at(url)
    begun = asyncio.Event()

    async def hang(_: bytes) -> Outcome:
        begun.set()
        await asyncio.sleep(60)
        return Outcome.DONE

    async with consuming(first, queue, [type_], Consumer(hang)):
        await first.publish([message(type_)])
        async with asyncio.timeout(60):
            await begun.wait()
    await first.close()

    consumer = Consumer()
    async with consuming(second, queue, [type_], consumer):
        await consumer.has_seen(1)
    await second.close()
