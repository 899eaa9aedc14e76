"""What operators see of a process at `/metrics`."""

import asyncio
from collections.abc import AsyncGenerator

import psycopg
import pytest
from prometheus_client import REGISTRY

from shared.database import Database
from shared.ids import new_id
from shared.outbox import publish
from shared.relay import Relay
from shared.settings import ServiceSettings
from shared.testing.stack import Stack
from shared.tests.test_worker import school_changed
from shared.worker import Worker


@pytest.fixture
async def database(stack: Stack) -> AsyncGenerator[Database]:
    async with Database(stack.settings(ServiceSettings, "school", database_pool_max=4), pool="measured") as database:
        yield database


def connections(state: str) -> float | None:
    return REGISTRY.get_sample_value("homeroom_database_connections", {"pool": "measured", "state": state})


def in_use() -> float:
    return (connections("open") or 0) - (connections("idle") or 0)


async def test_an_open_pool_shows_its_connections_and_a_closed_one_does_not(database: Database) -> None:
    async with asyncio.timeout(60):
        async with database.connection(), database.connection():
            while in_use() != 2:  # those that the pool is still opening count too
                await asyncio.sleep(0.01)
            assert connections("max") == 4
        while in_use() != 0:
            await asyncio.sleep(0.01)
    await database.__aexit__()

    assert connections("max") is None


async def test_the_age_of_the_oldest_unpublished_event_is_told(stack: Stack, database: Database) -> None:
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        owner.execute("DELETE FROM outbox")
        worker = Worker("school", database=database, bus_url=stack.bus_url, reactions=[])
        relay = Relay(database, worker.bus)
        school_id = new_id()
        async with database.transaction(school_id=school_id) as tx:
            await publish(tx, school_changed(school_id), school_id=school_id, subject=str(school_id), version=1)
        owner.execute("UPDATE outbox SET created_at = created_at - interval '90 seconds' WHERE published_at IS NULL")
    await relay.measure()
    waiting = REGISTRY.get_sample_value("homeroom_outbox_age_seconds")
    while await relay.publish_batch():
        pass
    await relay.measure()
    await worker.bus.close()

    assert waiting is not None
    assert waiting >= 90
    assert REGISTRY.get_sample_value("homeroom_outbox_age_seconds") == 0
