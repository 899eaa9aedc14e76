"""What could not be measured is told, and what is counted as a query is one."""

import asyncio
from collections.abc import AsyncGenerator

import psycopg
import pytest

from bench import measures
from bench.machine import cores_given
from bench.measures import Connections, DatabaseWatch, Times
from services.academic.settings import Settings
from shared.database import Database
from shared.ids import new_id
from shared.testing.stack import Stack


@pytest.fixture
async def database(stack: Stack) -> AsyncGenerator[Database]:
    async with Database(stack.settings(Settings, "academic")) as database:
        yield database


async def test_connections_are_unknown_when_whoever_counted_them_is_gone(stack: Stack) -> None:
    watch = DatabaseWatch(stack.admin_url)
    async with watch.watching():
        while not watch.connections.samples:
            await asyncio.sleep(0.01)
        with psycopg.connect(stack.admin_url, autocommit=True) as connection:
            ours = "query = %s AND datname = current_database()"
            connection.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}", [measures.CONNECTIONS]
            )
        await asyncio.sleep(2 * measures.SAMPLE_S)

    assert watch.connections == Connections()
    assert watch.fault.startswith("connections could not be counted: ")


async def test_control_connections_are_counted_while_somebody_looks(stack: Stack, database: Database) -> None:
    watch = DatabaseWatch(stack.admin_url)
    async with watch.watching(), database.transaction(school_id=new_id()):
        seen = watch.connections
        while seen.samples < 2:
            await asyncio.sleep(0.01)

    assert seen.open >= 1
    assert seen.active >= 1
    assert watch.fault == ""


async def test_a_statement_that_was_slow_once_is_slow(stack: Stack, database: Database) -> None:
    watch = DatabaseWatch(stack.admin_url)
    before = watch.queries(seconds=60)

    await database.reader(school_id=new_id()).value(bool, "SELECT pg_sleep(0.15) IS NULL AS was_slow_once")

    after = watch.queries(seconds=60)
    assert after.slower_than_100_ms > before.slower_than_100_ms
    assert after.count > before.count


async def test_what_frames_a_transaction_is_no_query(stack: Stack, database: Database) -> None:
    async with database.transaction(school_id=new_id()) as tx, tx.savepoint():
        await tx.value(int, "SELECT 40 + 2 AS is_counted_once")

    with psycopg.connect(stack.admin_url) as connection:
        told = {query for (query,) in connection.execute("SELECT query FROM pg_stat_statements").fetchall()}
        statement = f"SELECT query FROM pg_stat_statements WHERE {measures.IS_QUERY}"
        counted = {query for (query,) in connection.execute(statement).fetchall()}
    assert any("is_counted_once" in query for query in counted)
    frames = {query for query in told if query.split()[0] in {"BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"}}
    assert frames
    assert not frames & counted
    assert not any(query.lstrip().startswith("SELECT set_config") for query in counted)


def test_a_call_among_many_is_not_lost() -> None:
    times = Times()
    for _ in range(99):
        times.add("often", 0.001)
    times.add("once", 2.0, is_success=False)

    assert times.percentiles()["once"].p95_ms == 2000
    assert times.of_all().failed == 1
    assert times.of_all(but=["once"]).count == 99


def test_a_machine_gives_some_of_its_cores() -> None:
    assert cores_given(spell_s=0.1) > 0
