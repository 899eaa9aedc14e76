"""Transactions that become one: whose they are, who may join, and what is left of them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from shared.database import Database, Tx
from shared.idempotency import Claim, StillRunning
from shared.ids import new_id
from shared.settings import ServiceSettings
from shared.testing.stack import Stack
from shared.unit import current_unit
from shared.web import idempotency
from shared.web.idempotency import Queues

TENANT = "SELECT current_setting('app.school_id', true)"
XID = "SELECT pg_current_xact_id()::text"


@pytest.fixture
async def database(stack: Stack) -> AsyncGenerator[Database]:
    async with Database(stack.settings(ServiceSettings, "school", database_pool_max=2)) as database:
        yield database


async def begin(tx: Tx) -> None:
    await tx.execute("SELECT 1")


async def test_all_transactions_of_a_unit_are_one(database: Database) -> None:
    school_id = new_id()
    seen: list[str | None] = []

    async with database.unit(begin, tenant=school_id, school_id=school_id):
        for _ in range(2):
            async with database.transaction(school_id=school_id) as tx:
                seen.append(await tx.value(str, XID))
    async with database.transaction(school_id=school_id) as tx:
        seen.append(await tx.value(str, XID))

    assert seen[0] == seen[1] != seen[2]


async def test_a_read_amid_a_transaction_leaves_its_tenant_alone(database: Database) -> None:
    school_id, other = new_id(), new_id()

    async with (
        database.unit(begin, tenant=school_id, school_id=school_id),
        database.transaction(school_id=school_id) as tx,
    ):
        assert await database.reader(school_id=other).value(str, TENANT) == str(other)
        assert await tx.value(str, TENANT) == str(school_id)


async def test_a_unit_lets_no_other_school_in(database: Database) -> None:
    school_id = new_id()

    async with database.unit(begin, tenant=school_id, school_id=school_id):
        with pytest.raises(AssertionError, match="another school"):
            async with database.transaction(school_id=new_id()):
                pass


async def test_a_transaction_inside_another_is_a_mistake(database: Database) -> None:
    school_id = new_id()

    async with (
        database.unit(begin, tenant=school_id, school_id=school_id),
        database.transaction(school_id=school_id),
    ):
        with pytest.raises(AssertionError, match="inside another"):
            async with database.transaction(school_id=school_id):
                pass


async def test_a_unit_is_of_its_task_and_of_its_database(database: Database, stack: Stack) -> None:
    school_id = new_id()

    async def of_another_task() -> bool:
        return current_unit(database) is None

    async with Database(stack.settings(ServiceSettings, "school")) as other_database:
        async with database.unit(begin, tenant=school_id, school_id=school_id) as unit:
            meanwhile = asyncio.create_task(of_another_task())
            assert current_unit(database) is unit
            assert current_unit(other_database) is None
            assert await meanwhile
            late = asyncio.create_task(asyncio.sleep(0.01, result=current_unit))
        assert current_unit(database) is None
        assert (await late)(database) is None


async def test_who_gives_up_waiting_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAIT_S", 0.02)
    queues = Queues()
    claim = Claim(school_id=new_id(), user_id=new_id(), operation="o", key="k", fingerprint=b"")

    async def turn(seconds: float) -> None:
        async with queues.turn(claim):
            await asyncio.sleep(seconds)

    first = asyncio.create_task(turn(0.1))
    await asyncio.sleep(0)
    refused, cancelled = asyncio.create_task(turn(0)), asyncio.create_task(turn(0))
    await asyncio.sleep(0)
    cancelled.cancel()
    with suppress(asyncio.CancelledError):
        await cancelled
    with pytest.raises(StillRunning):
        await refused
    await first
    await turn(0)

    assert not queues._locks
