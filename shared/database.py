"""Postgres: one pool per service, the tenant set for exactly one transaction, rows straight into Structs.

Tenancy has two walls. Every query names `school_id`, and row-level security compares it with the setting
`app.school_id`, which is only ever set transaction-locally, here. A connection goes back to the pool with
nothing set, so a forgotten tenant reads zero rows.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Self
from uuid import UUID

from psycopg import AsyncConnection, Error, Notify, OperationalError
from psycopg import sql as composed
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from shared import pools
from shared.marks import Marks, Position
from shared.problems import Unavailable
from shared.redis_pipe import RedisPipe
from shared.replica import Replica, current_asker
from shared.settings import ServiceSettings
from shared.statements import Connection, Cursor, Tenant, execute, transaction_as
from shared.transactions import Reader, TellChanges, Tx, switch_school
from shared.unit import Unit, current_unit

__all__ = ["Connection", "Database", "Reader", "Tx", "switch_school"]

RECONNECT_S = 2.0
"""So long the pool tries by itself, waiting longer each time; after that whoever asks for a connection makes it try
anew. Its own default of five minutes leaves a service without connections long after Postgres has come back."""
POSITION = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"


class Database:
    """The pool of one service. Use as an async context manager.

    With a replica (`database_read_url`), and where `serves` says that callers are served, a part of the connections go
    there. `pool` is the name of the other connections in the metrics: a process may have several pools. `deciding` are
    the tables by which it is decided who sees what: whoever writes them, the whole school reads what they wrote.
    """

    def __init__(
        self, settings: ServiceSettings, *, serves: bool = False, pool: str = "api", deciding: Collection[str] = ()
    ) -> None:
        self.pool = pool
        self._deciding = frozenset(deciding)
        self._url = settings.database_url
        self._serves = serves
        self._marks: Marks | None = None
        self._replica: Replica | None = None
        connections = settings.database_pool_max
        if settings.database_read_url:
            pipe = RedisPipe(settings.redis_url, timeout_s=settings.redis_timeout_s)
            self._marks = Marks(pipe, self._url, self._position, stale_s=settings.database_read_stale_s)
        if settings.database_read_url and serves:
            to_replica = max(1, min(settings.database_read_pool_max, connections - 1))
            connections = max(1, connections - to_replica)
            self._replica = Replica(
                settings.database_read_url,
                connections=to_replica,
                answer_s=settings.database_read_answer_s,
            )
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            settings.database_url,
            min_size=settings.database_pool_min,
            max_size=connections,
            timeout=settings.database_pool_wait_s,
            max_waiting=settings.database_pool_waiting,
            reconnect_timeout=RECONNECT_S,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": tuple_row},
            open=False,
        )
        self._tell_changes: TellChanges | None = None

    async def __aenter__(self) -> Self:
        # Opens without waiting: a service starts, answers "not ready", and recovers when Postgres comes.
        await self._pool.open(wait=False)
        pools.watch(self.pool, self._pool)
        if self._replica:
            await self._replica.pool.open(wait=False)
            pools.watch("replica", self._replica.pool)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._marks:
            await self._marks.close()
        if self._replica:
            pools.forget(self._replica.pool)
            await self._replica.pool.close(timeout=5)
        pools.forget(self._pool)
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
        tenant = Tenant(school_id=school_id, user_id=user_id, capability=capability)
        unit = current_unit(self)
        async with unit.joined(tenant) if unit else self._transaction(tenant) as tx:
            yield tx

    def unit(self, begin: Callable[[Tx], Awaitable[None]], *, tenant: UUID, school_id: UUID | None) -> Unit:
        """Until it is left, the transactions of the running task are one (see `shared.unit`).

        `begin` runs as `tenant`, the parts as `school_id`, or as any school when that is None.
        """
        return Unit(self, partial(self._transaction, Tenant(school_id=tenant)), begin, school_id=school_id)

    @asynccontextmanager
    async def _transaction(self, tenant: Tenant) -> AsyncGenerator[Tx]:
        tx: Tx | None = None
        try:
            async with self.connection() as connection:
                tx = Tx(connection, school_id=tenant.school_id)
                async with transaction_as(connection, tenant):
                    yield tx
                if self._marks:
                    await self._mark(tx)
        finally:
            # After a failure too: a commit whose answer was lost may have happened.
            if tx is not None and tx.changes and self._tell_changes is not None:
                await self._tell_changes(tx.changes)
        assert tx is not None
        await tx.run_callbacks()

    def tell_of_changes(self, to: TellChanges) -> None:
        """Let `to` know which tables each transaction wrote, before whoever opened it goes on. It must not raise."""
        self._tell_changes = to

    @asynccontextmanager
    async def listen(self, what: str) -> AsyncGenerator[AsyncGenerator[Notify]]:
        """Notifications on the channel `<schema>_<what>`, on a connection besides the pool's."""
        async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
            schema = await (await connection.execute("SELECT current_schema()")).fetchone()
            assert schema is not None
            await connection.execute(composed.SQL("LISTEN {}").format(composed.Identifier(f"{schema[0]}_{what}")))
            yield connection.notifies()

    def reader(self, *, school_id: UUID | None = None, user_id: UUID | None = None, is_fresh: bool = False) -> Reader:
        """`is_fresh`: nothing that was committed may be missed, whoever wrote it (to fill a cache, to decide)."""
        return Reader(self, school_id=school_id, user_id=user_id, is_fresh=is_fresh)

    @asynccontextmanager
    async def read(
        self, sql: str, params: Mapping[str, object], *, school_id: UUID | None, is_fresh: bool
    ) -> AsyncGenerator[Cursor]:
        """For readers: on the connection of the task's unit, on a replica, or on the primary."""
        unit = current_unit(self)
        if unit and unit.tx:
            async with unit.reading() as connection:
                yield await execute(connection, sql, params)
            return
        if self._replica and not is_fresh:
            cursor = await self._read_from(self._replica, sql, params, school_id)
            if cursor:
                yield cursor
                return
        async with self.connection() as connection:
            yield await execute(connection, sql, params)

    async def is_ready(self) -> bool:
        """Whether a trivial statement is answered in time."""
        try:
            async with self.connection() as connection:
                await connection.execute("SELECT 1")
        except (Unavailable, OperationalError):
            return False
        return True

    def pool_stats(self) -> Mapping[str, int]:
        of_replica = self._replica.pool.get_stats() if self._replica else {}
        return self._pool.get_stats() | {f"replica_{name}": count for name, count in of_replica.items()}

    # The replica

    async def _read_from(
        self, replica: Replica, sql: str, params: Mapping[str, object], school_id: UUID | None
    ) -> Cursor | None:
        """Only who is known, and only reads, may be told what may be a moment old."""
        asker = current_asker()
        if self._marks is None or asker is None or not asker.only_reads:
            return None
        needed = await self._marks.needed(asker.user_id, school_id)
        return None if needed is None else await replica.read(sql, params, needed=needed)

    async def remember_write(self) -> None:
        """Let the caller read what they wrote before, perhaps through a process that died before it could say so."""
        asker = current_asker()
        if self._marks and asker:
            await self._marks.wrote(await self._position(), user_id=asker.user_id, schools=())

    async def _mark(self, tx: Tx) -> None:
        """After the commit, before anybody is told of it."""
        assert self._marks is not None
        asker = current_asker()
        if not self._serves and not tx.schools:
            return
        try:
            position = await _position_on(tx.connection)
        except Error:
            position = None  # the commit stands
        is_told_to_others = not self._serves or (asker is not None and bool(tx.callbacks))
        decides = any(change.table in self._deciding for change in tx.changes)
        schools = tx.schools if is_told_to_others or decides else ()
        await self._marks.wrote(position, user_id=asker.user_id if asker else None, schools=schools)

    async def _position(self) -> Position:
        async with self.connection() as connection:
            return await _position_on(connection)


async def _position_on(connection: Connection) -> Position:
    found = await (await connection.execute(POSITION)).fetchone()
    assert found is not None
    return found[0]
