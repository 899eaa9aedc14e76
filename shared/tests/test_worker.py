"""From a committed change to its effect elsewhere: outbox, relay, bus, inbox."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import LiteralString
from uuid import UUID

import msgspec
import psycopg
import pytest
from prometheus_client import REGISTRY

from shared.bus import BusError, Outcome, Outgoing, bus_at
from shared.contracts.envelope import Envelope
from shared.contracts.school import SchoolChanged
from shared.database import Database, Tx
from shared.ids import new_id
from shared.outbox import publish
from shared.relay import Relay
from shared.settings import ServiceSettings
from shared.testing.bus import deliver, envelope_of, published
from shared.testing.stack import Stack
from shared.worker import Worker, every, on


def school_changed(school_id: UUID, name: str = "Northside") -> SchoolChanged:
    return SchoolChanged(
        school_id=school_id, district_id=new_id(), name=name, time_zone="Europe/Paris", grace_period_minutes=10
    )


class Effects:
    """A reaction that records, and fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.names: list[str] = []
        self.tenants: list[str | None] = []
        self._failures = failures

    async def react(self, tx: Tx, event: SchoolChanged, envelope: Envelope) -> None:
        if self._failures:
            self._failures -= 1
            raise LookupError("not yet")
        tenant = await tx.value(str, "SELECT current_setting('app.school_id')")
        self.names.append(event.name)
        self.tenants.append(tenant)


@pytest.fixture
async def database(stack: Stack) -> AsyncGenerator[Database]:
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        owner.execute("DELETE FROM outbox")
    async with Database(stack.settings(ServiceSettings, "school")) as database:
        yield database


def worker_of(stack: Stack, database: Database, effects: Effects, name: str = "school") -> Worker:
    return Worker(name, database=database, bus_url=stack.bus_url, reactions=[on(SchoolChanged, effects.react)])


@asynccontextmanager
async def running(worker: Worker) -> AsyncGenerator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_event_reaches_its_reaction_under_its_own_tenant(stack: Stack, database: Database) -> None:
    school_id, effects = new_id(), Effects()
    event = school_changed(school_id, name=f"School {school_id}")
    async with running(worker_of(stack, database, effects, f"worker-{new_id()}")):
        async with database.transaction(school_id=school_id) as tx:
            await publish(tx, event, school_id=school_id, subject=str(school_id), version=1)
        async with asyncio.timeout(60):
            while event.name not in effects.names:
                await asyncio.sleep(0.02)

    had = [tenant for name, tenant in zip(effects.names, effects.tenants, strict=True) if name == event.name]
    assert had == [str(school_id)]


async def test_a_change_that_is_rolled_back_tells_nobody(stack: Stack, database: Database) -> None:
    school_id = new_id()
    with suppress(LookupError):
        async with database.transaction(school_id=school_id) as tx:
            await publish(tx, school_changed(school_id), school_id=school_id, subject="x", version=1)
            raise LookupError

    assert published(stack.database_url("school"), school_id) == []


async def test_a_second_delivery_has_no_second_effect(stack: Stack, database: Database) -> None:
    effects, event_id = Effects(), new_id()
    worker = worker_of(stack, database, effects)
    for _ in range(3):
        outcome = await deliver(worker, school_changed(new_id()), school_id=new_id(), event_id=event_id)
        assert outcome is Outcome.DONE

    assert effects.names == ["Northside"]


async def test_parallel_deliveries_have_one_effect(stack: Stack, database: Database) -> None:
    effects, event_id = Effects(), new_id()
    worker = worker_of(stack, database, effects)

    await asyncio.gather(
        *(deliver(worker, school_changed(new_id()), school_id=new_id(), event_id=event_id) for _ in range(20))
    )

    assert effects.names == ["Northside"]


async def test_a_failed_reaction_leaves_no_trace_in_the_inbox(stack: Stack, database: Database) -> None:
    effects, event_id = Effects(failures=1), new_id()
    worker = worker_of(stack, database, effects)

    first = await deliver(worker, school_changed(new_id()), school_id=new_id(), event_id=event_id)
    second = await deliver(worker, school_changed(new_id()), school_id=new_id(), event_id=event_id)

    assert (first, second) == (Outcome.RETRY, Outcome.DONE)
    assert effects.names == ["Northside"]


@pytest.mark.parametrize(
    "payload",
    [b"", b"[" * 2000, b"\xff", b"{}", b'{"type": "school.school_changed.v1"}'],
    ids=["empty", "deep", "not utf-8", "no fields", "no id"],
)
async def test_an_unreadable_event_is_dead_at_once(stack: Stack, database: Database, payload: bytes) -> None:
    assert await worker_of(stack, database, Effects()).handle(payload) is Outcome.DEAD


async def test_an_event_of_another_shape_is_dead_at_once(stack: Stack, database: Database) -> None:
    envelope = envelope_of(school_changed(new_id()), school_id=new_id())
    other = msgspec.structs.replace(envelope, data=msgspec.Raw(b'{"type":"school.school_changed.v1","name":1}'))

    assert await worker_of(stack, database, Effects()).handle(msgspec.json.encode(other)) is Outcome.DEAD


async def test_a_field_that_a_later_release_added_is_ignored(stack: Stack, database: Database) -> None:
    effects = Effects()
    envelope = envelope_of(school_changed(new_id()), school_id=new_id())
    fields = {**msgspec.json.decode(envelope.data), "motto": "Sapere aude"}
    later = msgspec.structs.replace(envelope, data=msgspec.Raw(msgspec.json.encode(fields)))

    assert await worker_of(stack, database, effects).handle(msgspec.json.encode(later)) is Outcome.DONE
    assert effects.names == ["Northside"]


SENT = """
INSERT INTO outbox (id, type, payload, published_at)
VALUES (%(id)s, 'x', '', clock_timestamp() - %(age)s::interval)
"""
RECEIVED = "INSERT INTO inbox (event_id, type, received_at) VALUES (%(id)s, 'x', clock_timestamp() - %(age)s::interval)"
IS_KEPT = """
SELECT EXISTS (SELECT FROM outbox WHERE id = %(id)s) OR EXISTS (SELECT FROM inbox WHERE event_id = %(id)s)
"""
TAKE_BACK = "DELETE FROM outbox WHERE id = %(id)s"


class BrokenBus:
    """A bus that takes nothing."""

    async def publish(self, messages: list[Outgoing]) -> None:
        raise BusError("gone")


async def test_nothing_is_marked_while_the_bus_is_gone(stack: Stack, database: Database) -> None:
    school_id = new_id()
    async with database.transaction(school_id=school_id) as tx:
        await publish(tx, school_changed(school_id), school_id=school_id, subject="x", version=1)

    with pytest.raises(BusError):
        await Relay(database, BrokenBus()).publish_batch()
    bus = bus_at(stack.bus_url)
    relay = Relay(database, bus)

    assert await relay.publish_batch() == 1
    assert await relay.publish_batch() == 0
    await bus.close()


async def test_two_relays_publish_each_event_once(stack: Stack, database: Database) -> None:
    school_id = new_id()
    async with database.transaction(school_id=school_id) as tx:
        for number in range(500):
            await publish(tx, school_changed(school_id), school_id=school_id, subject="x", version=number)
    bus = bus_at(stack.bus_url)

    counts = await asyncio.gather(*(Relay(database, bus).publish_batch() for _ in range(6)))

    assert sum(counts) == 500
    await bus.close()


@pytest.mark.parametrize(
    ("insert", "age", "is_kept"),
    [
        (SENT, "8 days", False),
        (SENT, "6 days", True),
        (SENT, None, True),
        (RECEIVED, "31 days", False),
        (RECEIVED, "29 days", True),
    ],
)
async def test_only_what_was_published_or_received_long_ago_is_forgotten(
    database: Database, insert: LiteralString, age: str | None, is_kept: bool
) -> None:
    event_id, relay = new_id(), Relay(database, BrokenBus())
    async with database.transaction() as tx:
        await tx.execute(insert, id=event_id, age=age)

    while await relay.prune():
        pass

    found = await database.reader().value(bool, IS_KEPT, id=event_id)
    async with database.transaction() as tx:
        await tx.execute(TAKE_BACK, id=event_id)
    assert found is is_kept


async def test_a_task_goes_on_after_a_failure(stack: Stack, database: Database) -> None:
    calls: list[int] = []

    async def run() -> bool:
        calls.append(len(calls))
        if len(calls) == 1:
            raise LookupError
        return len(calls) < 4

    worker = Worker("tasks", database=database, bus_url=stack.bus_url, reactions=[], tasks=[every(0.05, "count", run)])
    async with running(worker), asyncio.timeout(60):
        while len(calls) < 5:
            await asyncio.sleep(0.02)

    failed = REGISTRY.get_sample_value("homeroom_tasks_failed_total", {"service": "tasks", "task": "count"})
    assert failed == 1
