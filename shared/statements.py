"""Statements on a connection: the tenant that they see, and rows straight into Structs."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any, LiteralString, TypeVar, cast
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, AsyncCursor, Error
from psycopg import sql as composed
from psycopg.errors import InFailedSqlTransaction
from psycopg.pq import TransactionStatus

from shared import telemetry

T = TypeVar("T")
Connection = AsyncConnection[tuple[Any, ...]]
Cursor = AsyncCursor[tuple[Any, ...]]

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


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """As whom a transaction reads and writes."""

    school_id: UUID | None = None
    user_id: UUID | None = None
    capability: str | None = None


# Both in one message: a round trip less for every transaction. Without parameters of the protocol, which take one
# statement only.
BEGIN_AS = composed.SQL("""
BEGIN;
SELECT set_config('app.school_id', {school_id}, true),
       set_config('app.user_id', {user_id}, true),
       set_config('app.capability', {capability}, true)
""")


@asynccontextmanager
async def transaction_as(connection: Connection, tenant: Tenant) -> AsyncGenerator[None]:
    """Commit on leaving, roll back on an exception; `connection.transaction()` inside is a savepoint.

    Raises InFailedSqlTransaction when a statement failed inside and somebody passed over it.
    """
    try:
        with telemetry.database_call():
            await connection.execute(_beginning(tenant), prepare=False)
        yield
        _require_sound(connection)
    except BaseException:
        if not connection.broken:
            with suppress(Error):
                await connection.rollback()
        raise
    await connection.commit()


def _require_sound(connection: Connection) -> None:
    """Postgres would answer the COMMIT of a failed transaction by a rollback, and nobody would know."""
    if connection.info.transaction_status is TransactionStatus.INERROR:
        raise InFailedSqlTransaction("A statement failed in it; nothing of it would be kept.")


def _beginning(tenant: Tenant) -> bytes:
    return _of_school(tenant.school_id) if tenant == Tenant(school_id=tenant.school_id) else _composed(tenant)


@lru_cache(maxsize=10_000)
def _of_school(school_id: UUID | None) -> bytes:
    """There are few of them, and putting it together costs a third of a round trip."""
    return _composed(Tenant(school_id=school_id))


def _composed(tenant: Tenant) -> bytes:
    return BEGIN_AS.format(**_told(tenant)).as_bytes()


async def set_tenant(connection: Connection, tenant: Tenant) -> None:
    """For the rest of the transaction, never longer."""
    await execute(connection, SET_TENANT, _told(tenant))


def _told(tenant: Tenant) -> dict[str, str]:
    return {
        "school_id": text(tenant.school_id),
        "user_id": text(tenant.user_id),
        "capability": tenant.capability or "",
    }


async def execute(connection: Connection, sql: str, params: Mapping[str, object]) -> Cursor:
    with telemetry.database_call():
        return await connection.execute(cast("LiteralString", sql), params, binary=True)


def rows(row: type[T], cursor: Cursor, found: list[tuple[Any, ...]]) -> list[T]:
    columns = [column.name for column in cursor.description or ()]
    return [row(**dict(zip(columns, values, strict=True))) for values in found]


def text(value: UUID | None) -> str:
    return "" if value is None else str(value)
