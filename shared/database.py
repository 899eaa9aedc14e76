"""Postgres: one pool per service, the tenant set for exactly one transaction, rows straight into Structs.

Tenancy has two walls. Every query names `school_id`, and row-level security compares it with the setting
`app.school_id`, which is only ever set transaction-locally, here. A connection goes back to the pool with
nothing set, so a forgotten tenant reads zero rows.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, LiteralString, Self, TypeVar, cast
from uuid import UUID

import structlog
from psycopg import AsyncConnection, AsyncCursor, Notify, OperationalError
from psycopg import sql as composed
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from shared import telemetry
from shared.problems import Unavailable
from shared.settings import ServiceSettings

log = structlog.get_logger()

T = TypeVar("T")
Connection = AsyncConnection[tuple[Any, ...]]

SET_TENANT = """
SELECT set_config('app.school_id', %(school_id)s, true),
       set_config('app.user_id', %(user_id)s, true),
       set_config('app.capability', %(capability)s, true)
"""

# The lateral join makes the statement run after the tenant is set, in one round trip (ADR 0004). OFFSET 0 keeps the
# planner from turning it round, as it does for a single row read by its key. Should it ever do so all the same, the
# policies see no tenant and the answer is empty, never foreign.
READ_AS_TENANT = """
WITH tenant AS MATERIALIZED (
    SELECT set_config('app.school_id', %(_school_id)s, true) AS school_id,
           set_config('app.user_id', %(_user_id)s, true) AS user_id
)
SELECT statement.*
FROM tenant CROSS JOIN LATERAL (SELECT inner_statement.* FROM (
{statement}
) AS inner_statement WHERE tenant.school_id IS NOT NULL OFFSET 0) AS statement
"""


class Reader:
    """Reads one statement at a time; each is a transaction of its own with the tenant set inside it."""

    def __init__(self, database: "Database", *, school_id: UUID | None, user_id: UUID | None) -> None:
        self._database = database
        self._tenant = {"_school_id": _text(school_id), "_user_id": _text(user_id)}

    async def all(self, row: type[T], sql: LiteralString, /, **params: object) -> list[T]:
        """All rows as `row`; the statement's columns are named as the Struct's fields."""
        async with self._run(sql, params) as cursor:
            return _rows(row, cursor, await cursor.fetchall())

    async def one(self, row: type[T], sql: LiteralString, /, **params: object) -> T | None:
        """The first row as `row`, or None."""
        async with self._run(sql, params) as cursor:
            found = await cursor.fetchone()
            return _rows(row, cursor, [found])[0] if found else None

    async def value(self, type_: type[T], sql: LiteralString, /, **params: object) -> T | None:
        """The first column of the first row; None when there is no row, or when it is NULL."""
        async with self._run(sql, params) as cursor:
            found = await cursor.fetchone()
        value = found[0] if found else None
        assert value is None or isinstance(value, type_), f"expected {type_}, found {type(value)}"
        return value

    @asynccontextmanager
    async def _run(
        self, sql: LiteralString, params: Mapping[str, object]
    ) -> AsyncGenerator[AsyncCursor[tuple[Any, ...]]]:
        async with self._database.connection() as connection:
            statement = READ_AS_TENANT.replace("{statement}", sql)
            cursor = await _execute(connection, statement, {**params, **self._tenant})
            yield cursor


class Tx(Reader):
    """An open transaction. Opened by actions and by the consumer loop, nowhere else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._callbacks: list[Callable[[], Awaitable[None]]] = []

    async def execute(self, sql: LiteralString, /, **params: object) -> int:
        """Run a statement that returns nothing of interest; the number of rows it touched."""
        async with self._run(sql, params) as cursor:
            return cursor.rowcount

    async def execute_many(self, sql: LiteralString, rows: Sequence[Mapping[str, object]], /) -> None:
        """Run one statement for each of `rows`, pipelined."""
        if not rows:
            return
        async with self._connection.cursor() as cursor:
            with telemetry.database_call():
                await cursor.executemany(sql, rows)

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """A nested unit: an exception inside undoes only what was done inside."""
        return self._connection.transaction()

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Run `callback` once the transaction is committed: best effort, for what may be lost (live pushes)."""
        self._callbacks.append(callback)

    async def run_callbacks(self) -> None:
        for callback in self._callbacks:
            try:
                await callback()
            except Exception as error:  # noqa: BLE001 (the commit stands; a lost push is repaired by the next read)
                log.warning("after_commit_failed", error=type(error).__name__)

    @asynccontextmanager
    async def _run(
        self, sql: LiteralString, params: Mapping[str, object]
    ) -> AsyncGenerator[AsyncCursor[tuple[Any, ...]]]:
        yield await _execute(self._connection, sql, params)


class Database:
    """The pool of one service. Use as an async context manager."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._url = settings.database_url
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            settings.database_url,
            min_size=settings.database_pool_min,
            max_size=settings.database_pool_max,
            timeout=settings.database_pool_wait_s,
            max_waiting=settings.database_pool_waiting,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": tuple_row},
            open=False,
        )

    async def __aenter__(self) -> Self:
        # Opens without waiting: a service starts, answers "not ready", and recovers when Postgres comes.
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close(timeout=5)

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A pooled connection without a tenant. Raises Unavailable when none is to be had in time."""
        try:
            connection = await self._pool.getconn()
        except (PoolTimeout, TooManyRequests) as error:
            raise Unavailable("The database is busy; try again.", headers={"Retry-After": "2"}) from error
        try:
            yield connection
        except OperationalError as error:
            if connection.broken or connection.closed:
                raise Unavailable("The database went away; try again.", headers={"Retry-After": "2"}) from error
            raise
        finally:
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(
        self, *, school_id: UUID | None = None, user_id: UUID | None = None, capability: str | None = None
    ) -> AsyncGenerator[Tx]:
        """Commit on leaving, roll back on an exception. No network call other than the database's inside.

        `school_id` is the tenant. `user_id` and `capability` open the few rows of `auth` that belong to a
        person or to the bearer of a secret rather than to a school.
        """
        async with self.connection() as connection:
            tx = Tx(connection)
            async with connection.transaction():
                await _execute(
                    connection,
                    SET_TENANT,
                    {
                        "school_id": _text(school_id),
                        "user_id": _text(user_id),
                        "capability": capability or "",
                    },
                )
                yield tx
        await tx.run_callbacks()

    @asynccontextmanager
    async def listen(self, what: str) -> AsyncGenerator[AsyncGenerator[Notify]]:
        """Notifications on the channel `<schema>_<what>`, on a connection besides the pool's."""
        async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
            schema = await (await connection.execute("SELECT current_schema()")).fetchone()
            assert schema is not None
            await connection.execute(composed.SQL("LISTEN {}").format(composed.Identifier(f"{schema[0]}_{what}")))
            yield connection.notifies()

    def reader(self, *, school_id: UUID | None = None, user_id: UUID | None = None) -> Reader:
        return Reader(self, school_id=school_id, user_id=user_id)

    async def is_ready(self) -> bool:
        """Whether a trivial statement is answered in time."""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except (Unavailable, OperationalError):
            return False
        return True

    def pool_stats(self) -> Mapping[str, int]:
        return self._pool.get_stats()


async def switch_school(tx: Tx, school_id: UUID) -> None:
    """Make `school_id` the tenant for the rest of the transaction: for work that spans the schools of a district."""
    await tx.execute("SELECT set_config('app.school_id', %(school_id)s, true)", school_id=str(school_id))


def _text(value: UUID | None) -> str:
    return "" if value is None else str(value)


async def _execute(connection: Connection, sql: str, params: Mapping[str, object]) -> AsyncCursor[tuple[Any, ...]]:
    with telemetry.database_call():
        return await connection.execute(cast("LiteralString", sql), params, binary=True)


def _rows(row: type[T], cursor: AsyncCursor[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> list[T]:
    columns = [column.name for column in cursor.description or ()]
    return [row(**dict(zip(columns, values, strict=True))) for values in found]
