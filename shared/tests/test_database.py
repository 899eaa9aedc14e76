"""The tenant wall: what a pooled connection may and may not remember (bar B3)."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

import shared.database
from shared.database import Database, switch_school
from shared.ids import new_id
from shared.problems import Unavailable
from shared.settings import ServiceSettings
from shared.testing.faults import wire_to
from shared.testing.stack import Stack

CREATE_TENANT_TABLE = """
CREATE TABLE IF NOT EXISTS hygiene (school_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (school_id, id));
ALTER TABLE hygiene ENABLE ROW LEVEL SECURITY;
ALTER TABLE hygiene FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON hygiene
    USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON hygiene TO school_app;
"""
ADD = "INSERT INTO hygiene VALUES (%(school_id)s, %(id)s)"
SEEN = "SELECT school_id FROM hygiene ORDER BY id LIMIT 100"
SETTING = "SELECT coalesce(current_setting('app.school_id', true), '')"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    school_id: UUID


@pytest.fixture(scope="module")
async def schools(stack: Stack) -> AsyncGenerator[list[UUID]]:
    schools = [new_id() for _ in range(3)]
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        owner.execute(CREATE_TENANT_TABLE)
        owner.execute("ALTER TABLE hygiene NO FORCE ROW LEVEL SECURITY")
        for school_id in schools:
            owner.execute("INSERT INTO hygiene VALUES (%s, %s)", (school_id, new_id()))
        owner.execute("ALTER TABLE hygiene FORCE ROW LEVEL SECURITY")
    yield schools
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        owner.execute("DROP TABLE hygiene")


@pytest.fixture
async def database(stack: Stack, schools: list[UUID]) -> AsyncGenerator[Database]:
    settings = stack.settings(
        ServiceSettings, "school", database_pool_min=1, database_pool_max=2, database_pool_wait_s=30
    )
    async with Database(settings) as database:
        yield database


async def seen_by(database: Database, school_id: UUID | None) -> list[UUID]:
    return [row.school_id for row in await database.reader(school_id=school_id).all(Seen, SEEN)]


async def test_a_reader_sees_its_own_school(database: Database, schools: list[UUID]) -> None:
    assert await seen_by(database, schools[0]) == [schools[0]]


async def test_a_forgotten_tenant_sees_nothing(database: Database, schools: list[UUID]) -> None:
    await seen_by(database, schools[0])

    async with database.connection() as connection:
        cursor = await connection.execute(SEEN)

        assert await cursor.fetchall() == []


async def test_a_statement_without_tenant_sees_nothing(database: Database) -> None:
    assert await seen_by(database, None) == []


async def test_a_row_of_another_school_cannot_be_written(database: Database, schools: list[UUID]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.transaction(school_id=schools[0]) as tx:
            await tx.execute(ADD, school_id=schools[1], id=new_id())


async def test_a_failure_that_was_passed_over_is_no_commit(database: Database, schools: list[UUID]) -> None:
    school_id, kept = schools[0], new_id()

    async def passed_over() -> None:
        async with database.transaction(school_id=school_id) as tx:
            await tx.execute(ADD, school_id=school_id, id=kept)
            with suppress(psycopg.errors.UniqueViolation):
                await tx.execute(ADD, school_id=school_id, id=kept)

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await passed_over()

    assert await seen_by(database, school_id) == [school_id]
    async with database.transaction(school_id=school_id) as tx:
        assert await tx.value(str, SETTING) == str(school_id), "its connection is as good as new"


async def test_what_failed_within_a_savepoint_undoes_that_alone(database: Database, schools: list[UUID]) -> None:
    school_id, kept = schools[1], new_id()

    async with database.transaction(school_id=school_id) as tx:
        await tx.execute(ADD, school_id=school_id, id=kept)
        with suppress(psycopg.errors.UniqueViolation):
            async with tx.savepoint():
                await tx.execute(ADD, school_id=school_id, id=kept)
    seen = await seen_by(database, school_id)
    async with database.transaction(school_id=school_id) as tx:
        await tx.execute(
            "DELETE FROM hygiene WHERE school_id = %(school_id)s AND id = %(id)s", school_id=school_id, id=kept
        )

    assert seen == [school_id] * 2


async def test_an_exception_rolls_the_transaction_back(database: Database, schools: list[UUID]) -> None:
    with suppress(LookupError):
        async with database.transaction(school_id=schools[0]) as tx:
            await tx.execute(ADD, school_id=schools[0], id=new_id())
            raise LookupError

    assert len(await seen_by(database, schools[0])) == 1


async def test_switching_the_school_lasts_as_long_as_the_transaction(database: Database, schools: list[UUID]) -> None:
    async with database.transaction(school_id=schools[0]) as tx:
        await switch_school(tx, schools[1])

        assert [row.school_id for row in await tx.all(Seen, SEEN)] == [schools[1]]

    assert await seen_by(database, schools[0]) == [schools[0]]


async def test_a_single_row_is_read_after_the_tenant_is_set(database: Database, schools: list[UUID]) -> None:
    """Control: without OFFSET 0 in READ_AS_TENANT the planner reads the row first, and finds none."""
    row = {"school_id": new_id(), "id": new_id()}
    async with database.transaction(school_id=row["school_id"]) as tx:
        await tx.execute("INSERT INTO hygiene (school_id, id) VALUES (%(school_id)s, %(id)s)", **row)

    by_key = "SELECT id FROM hygiene WHERE school_id = %(school_id)s AND id = %(id)s"
    found = await database.reader(school_id=row["school_id"]).value(UUID, by_key, **row)

    assert found == row["id"]


async def test_after_commit_runs_only_after_a_commit(database: Database, schools: list[UUID]) -> None:
    told: list[str] = []

    async def tell() -> None:
        told.append("committed")

    with suppress(LookupError):
        async with database.transaction(school_id=schools[0]) as tx:
            tx.after_commit(tell)
            raise LookupError
    assert told == []

    async with database.transaction(school_id=schools[0]) as tx:
        tx.after_commit(tell)
    assert told == ["committed"]


async def test_a_pool_that_stays_empty_is_told_as_unavailable(stack: Stack, schools: list[UUID]) -> None:
    settings = stack.settings(
        ServiceSettings, "school", database_pool_min=1, database_pool_max=1, database_pool_wait_s=0.2
    )
    async with Database(settings) as database, database.connection():
        with pytest.raises(Unavailable) as refused:
            await seen_by(database, schools[0])

    assert refused.value.headers["Retry-After"]


async def abuse(database: Database, schools: list[UUID], rng: random.Random) -> set[UUID]:
    """One transaction in a random school that ends in one of five ways; the foreign schools it saw."""
    school_id, ending = rng.choice(schools), rng.randrange(5)
    foreign: set[UUID] = set()

    async def work() -> None:
        async with database.transaction(school_id=school_id) as tx:
            foreign.update(row.school_id for row in await tx.all(Seen, SEEN) if row.school_id != school_id)
            match ending:
                case 1:
                    raise LookupError
                case 2:
                    await tx.execute("SELECT 1 / 0")
                case 3:
                    await tx.execute("SELECT pg_sleep(0.02)")
                case _:
                    await tx.execute(SETTING)

    task = asyncio.create_task(work())
    if ending == 3:
        await asyncio.sleep(rng.random() * 0.02)
        task.cancel()
    with suppress(LookupError, psycopg.errors.DivisionByZero, asyncio.CancelledError):
        await task
    foreign.update(found for found in await seen_by(database, school_id) if found != school_id)
    return foreign


async def test_no_tenant_survives_its_transaction(database: Database, schools: list[UUID]) -> None:
    rng = random.Random(7)

    async def tasks() -> set[UUID]:
        return set().union(*[await abuse(database, schools, rng) for _ in range(40)])

    foreign = await asyncio.gather(*(tasks() for _ in range(50)))

    assert set().union(*foreign) == set()
    for _ in range(4):
        async with database.connection() as connection:
            assert await (await connection.execute(SETTING)).fetchone() == ("",)


async def test_control_a_session_level_tenant_is_seen_by_the_next_borrower(stack: Stack, schools: list[UUID]) -> None:
    """The trap that the wall above must not fall into; it shows that the check can fail."""
    async with AsyncConnectionPool(
        stack.database_url("school"), min_size=1, max_size=1, kwargs={"autocommit": True}, open=False
    ) as pool:
        async with pool.connection() as connection:
            await connection.execute("SELECT set_config('app.school_id', %s, false)", (str(schools[0]),))
        async with pool.connection() as connection:
            rows = await (await connection.execute(SEEN)).fetchall()

    assert rows == [(schools[0],)]


# Postgres is away for a while, and comes back (bar B32).

OUTAGE_S = 8.0
HEALTHY_S = 5.0


async def answers(database: Database) -> bool:
    try:
        await database.reader(school_id=None).all(Seen, SEEN)
    except (Unavailable, psycopg.OperationalError):
        await asyncio.sleep(0.05)
        return False
    return True


async def healthy_after(database: Database) -> float:
    """Seconds until it answers."""
    began = time.monotonic()
    while not await answers(database):
        pass
    return time.monotonic() - began


async def asked_in_vain(database: Database, until: float) -> None:
    while time.monotonic() < until:
        assert not await answers(database)


async def test_a_pool_is_healthy_soon_after_postgres_came_back(
    stack: Stack, schools: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control waits as long as psycopg's pool would by itself."""
    async with wire_to(urlsplit(stack.admin_url).port or 0) as wire, AsyncExitStack() as opened:
        url = stack.database_url("school").replace(f":{urlsplit(stack.admin_url).port}/", f":{wire.port}/")
        databases: list[Database] = []
        for reconnect_s in (shared.database.RECONNECT_S, 300.0):
            monkeypatch.setattr(shared.database, "RECONNECT_S", reconnect_s)
            settings = stack.settings(ServiceSettings, "school", database_url=url, database_pool_wait_s=0.5)
            databases.append(await opened.enter_async_context(Database(settings)))
        await asyncio.gather(*map(healthy_after, databases))
        wire.is_cut = True
        wire.cut()
        ends_at = time.monotonic() + OUTAGE_S
        await asyncio.gather(*(asked_in_vain(each, ends_at) for each in databases))

        wire.is_cut = False
        took, control_took = await asyncio.gather(*map(healthy_after, databases))

    assert took <= HEALTHY_S < control_took
