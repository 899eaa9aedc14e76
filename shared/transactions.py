"""Readers and open transactions: what queries are handed."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from typing import Any, Final, LiteralString, NamedTuple, Protocol, TypeVar
from uuid import UUID

import structlog

from shared import telemetry
from shared.statements import READ_AS_TENANT, Connection, Cursor, execute, rows, text

log = structlog.get_logger()

T = TypeVar("T")

# Key words are upper case in this house, tables are not; `FOR UPDATE OF` and `DO UPDATE SET` name none.
WRITTEN: Final = re.compile(r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+([a-z_]+)")


class Change(NamedTuple):
    """A table was, or may have been, written for a school; None: for none, or nobody knows which."""

    school_id: UUID | None
    table: str


TellChanges = Callable[[Collection[Change]], Awaitable[None]]


class Source(Protocol):
    """Where a reader's statements are run."""

    def read(
        self, sql: str, params: Mapping[str, object], *, school_id: UUID | None, is_fresh: bool
    ) -> AbstractAsyncContextManager[Cursor]: ...


class Reader:
    """Reads one statement at a time; each is a transaction of its own with the tenant set inside it."""

    def __init__(self, source: Source, *, school_id: UUID | None, user_id: UUID | None, is_fresh: bool = False) -> None:
        self._source = source
        self._school_id = school_id
        self._is_fresh = is_fresh
        self._tenant = {"_school_id": text(school_id), "_user_id": text(user_id)}

    async def all(self, row: type[T], sql: LiteralString, /, **params: object) -> list[T]:
        """All rows as `row`; the statement's columns are named as the Struct's fields."""
        async with self._run(sql, params) as cursor:
            return rows(row, cursor, await cursor.fetchall())

    async def one(self, row: type[T], sql: LiteralString, /, **params: object) -> T | None:
        """The first row as `row`, or None."""
        async with self._run(sql, params) as cursor:
            found = await cursor.fetchone()
            return rows(row, cursor, [found])[0] if found else None

    async def value(self, type_: type[T], sql: LiteralString, /, **params: object) -> T | None:
        """The first column of the first row; None when there is no row, or when it is NULL."""
        async with self._run(sql, params) as cursor:
            found = await cursor.fetchone()
        value = found[0] if found else None
        assert value is None or isinstance(value, type_), f"expected {type_}, found {type(value)}"
        return value

    @asynccontextmanager
    async def _run(self, sql: LiteralString, params: Mapping[str, object]) -> AsyncGenerator[Cursor]:
        statement = READ_AS_TENANT.replace("{statement}", sql)
        reading = self._source.read(
            statement, {**params, **self._tenant}, school_id=self._school_id, is_fresh=self._is_fresh
        )
        async with reading as cursor:
            yield cursor


class Tx(Reader):
    """An open transaction. Opened by actions and by the consumer loop, nowhere else."""

    def __init__(self, connection: Connection, *, school_id: UUID | None) -> None:
        self.connection = connection
        self.school_id = school_id
        """Whose tenant it is now."""
        self.changes: set[Change] = set()
        self.schools = {school_id} if school_id else set[UUID]()
        """Whose tenant it has been."""
        self.callbacks: list[Callable[[], Awaitable[None]]] = []

    async def execute(self, sql: LiteralString, /, **params: object) -> int:
        """Run a statement that returns nothing of interest; the number of rows it touched."""
        async with self._run(sql, params) as cursor:
            return cursor.rowcount

    async def execute_many(self, sql: LiteralString, rows: Sequence[Mapping[str, object]], /) -> None:
        """Run one statement for each of `rows`, pipelined."""
        if not rows:
            return
        self._note(sql)
        async with self.connection.cursor() as cursor:
            with telemetry.database_call():
                await cursor.executemany(sql, rows)

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """A nested unit: an exception inside undoes only what was done inside."""
        return self.connection.transaction()

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Run `callback` once the transaction is committed: best effort, for what may be lost (live pushes)."""
        self.callbacks.append(callback)

    def adopt(self, inner: "Tx") -> None:
        """Take over what a transaction that became a part of this one has promised."""
        self.callbacks += inner.callbacks
        self.schools |= inner.schools
        self.changes |= inner.changes

    async def run_callbacks(self) -> None:
        for callback in self.callbacks:
            try:
                await callback()
            except Exception as error:  # noqa: BLE001 (the commit stands; a lost push is repaired by the next read)
                log.warning("after_commit_failed", error=type(error).__name__)

    @asynccontextmanager
    async def _run(self, sql: LiteralString, params: Mapping[str, Any]) -> AsyncGenerator[Cursor]:
        self._note(sql)
        yield await execute(self.connection, sql, params)

    def _note(self, sql: LiteralString) -> None:
        self.changes.update(Change(self.school_id, table) for table in tables_written(sql))


async def switch_school(tx: Tx, school_id: UUID) -> None:
    """Make `school_id` the tenant for the rest of the transaction: for work that spans the schools of a district."""
    tx.schools.add(school_id)
    await tx.execute("SELECT set_config('app.school_id', %(school_id)s, true)", school_id=str(school_id))
    tx.school_id = school_id


@lru_cache(maxsize=10_000)
def tables_written(sql: str) -> frozenset[str]:
    """The tables that a statement adds to, changes or deletes from; those that follow by foreign keys are not seen."""
    return frozenset(WRITTEN.findall(sql))
