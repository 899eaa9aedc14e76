"""Reading from a replica, where it has come far enough; whatever it cannot answer, the primary is asked (ADR 0202)."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec
import psycopg
import structlog
from prometheus_client import Counter
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from shared.marks import Position
from shared.statements import Connection, Cursor, execute

log = structlog.get_logger()

READS = Counter("homeroom_reads_total", "Reads that a replica might have answered.", ("answered_by", "reason"))

# Asked before the statement that it vouches for: within it, the snapshot might be older than the answer.
WHERE_IT_IS: Final = "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0')::bigint"
CONNECTION_WAIT_S: Final = 0.1
BEHIND_S: Final = 0.02
"""So long a replica that is behind is not asked again how far it is."""
REST_S: Final = 1.0
LONGEST_REST_S: Final = 15.0


class Asker(msgspec.Struct, frozen=True):
    """Who is served by the running task, and whether only to read."""

    user_id: UUID
    only_reads: bool


_served: ContextVar[tuple[Asker | None, object]] = ContextVar("served", default=(None, None))


def serve(asker: Asker | None) -> None:
    """From here on, the running task serves `asker`; None is nobody that we know."""
    _served.set((asker, asyncio.current_task()))


def current_asker() -> Asker | None:
    """Whom the running task serves. One that was started meanwhile serves nobody: it may work for others, too."""
    asker, task = _served.get()
    return asker if asker is not None and task is asyncio.current_task() else None


class Replica:
    """A small pool of its own, and the knowledge how far each connection's server has come."""

    def __init__(self, url: str, *, connections: int, answer_s: float) -> None:
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=connections,
            timeout=CONNECTION_WAIT_S,
            max_waiting=100,
            reconnect_timeout=10,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 0,
                "row_factory": tuple_row,
                "connect_timeout": 2,
            },
            open=False,
        )
        self._answer_s = answer_s
        self._come: WeakKeyDictionary[Connection, Position] = WeakKeyDictionary()
        self._lent = 0
        self._behind: tuple[Position, float] = (0, 0.0)
        self._rests_until = 0.0
        self._rest_s = REST_S

    async def read(self, sql: str, params: Mapping[str, object], *, needed: Position) -> Cursor | None:
        """The answer, fetched; None when the primary must be asked."""
        now = time.monotonic()
        if now < self._rests_until:
            return _primary("rests")
        if self._is_known_behind(needed, now):
            return _primary("behind")
        if self._is_convalescent:
            self._rests_until = now + self._rest_s  # one tries; the others wait for what becomes of it
        try:
            connection = await self.pool.getconn()
        except (PoolTimeout, TooManyRequests):
            return self._without_connection()
        self._lent += 1
        try:
            return await self._answer(connection, sql, params, needed)
        finally:
            self._lent -= 1
            await self.pool.putconn(connection)

    async def _answer(
        self, connection: Connection, sql: str, params: Mapping[str, object], needed: Position
    ) -> Cursor | None:
        watch = asyncio.get_running_loop().call_later(self._answer_s, _hang_up, connection)
        try:
            if self._come.get(connection, -1) < needed and not await self._has_come(connection, needed):
                return _primary("behind")
            cursor = await execute(connection, sql, params)
        except psycopg.Error as error:
            # Gone, frozen, in conflict with its replay, not yet migrated: the primary knows better.
            if connection.broken or connection.closed:
                self._rest()
            log.warning("replica_failed", error=type(error).__name__)
            return _primary("failed")
        finally:
            watch.cancel()
        if self._is_convalescent:
            self._rests_until, self._rest_s = 0.0, REST_S
        READS.labels("replica", "").inc()
        return cursor

    async def _has_come(self, connection: Connection, needed: Position) -> bool:
        found = await (await connection.execute(WHERE_IT_IS)).fetchone()
        assert found is not None
        is_replica, position = found
        if not is_replica or position is None:
            log.warning("replica_is_none")
            self._rest()
            return False
        self._rests_until, self._rest_s = 0.0, REST_S
        self._come[connection] = position
        self._behind = (position, time.monotonic())
        return position >= needed

    def _is_known_behind(self, needed: Position, now: float) -> bool:
        position, at = self._behind
        return position < needed and now - at < BEHIND_S

    # A replica that cannot be reached is left alone, then tried by one reader at a time.

    @property
    def _is_convalescent(self) -> bool:
        return self._rests_until > 0

    def _without_connection(self) -> None:
        if self._lent >= self.pool.max_size:
            return _primary("busy")
        self._rest()
        return _primary("unreachable")

    def _rest(self) -> None:
        self._rests_until = time.monotonic() + self._rest_s
        self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)


def _primary(reason: str) -> None:
    READS.labels("primary", reason).inc()


def _hang_up(connection: Connection) -> None:
    """Ends the waiting for a server that does not answer: to cancel the statement would need its answer, too."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
