"""What is measured beside the answers: CPU of each process, the database's own figures, how late alerts were."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Final, LiteralString

import msgspec
import psutil
import psycopg

from tools.stack import Stack

SAMPLE_S: Final = 0.25


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failed: int = 0


class Times:
    """How long each kind of call took."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._failed: dict[str, int] = defaultdict(int)

    def add(self, name: str, seconds: float, *, is_success: bool = True) -> None:
        self._seconds[name].append(seconds)
        self._failed[name] += not is_success

    def percentiles(self) -> dict[str, Percentiles]:
        return {name: of(seconds, failed=self._failed[name]) for name, seconds in sorted(self._seconds.items())}

    def of_all(self, *, but: Sequence[str] = ()) -> Percentiles:
        """Over every call, those named in `but` left out."""
        chosen = [each for name, seconds in self._seconds.items() if name not in but for each in seconds]
        return of(chosen, failed=sum(count for name, count in self._failed.items() if name not in but))


def of(seconds: Sequence[float], *, failed: int = 0) -> Percentiles:
    if len(seconds) < 2:
        only = seconds[0] * 1000 if seconds else 0.0
        return Percentiles(count=len(seconds), p50_ms=only, p95_ms=only, p99_ms=only, failed=failed)
    cuts = quantiles(seconds, n=100, method="inclusive")
    return Percentiles(
        count=len(seconds), p50_ms=cuts[49] * 1000, p95_ms=cuts[94] * 1000, p99_ms=cuts[98] * 1000, failed=failed
    )


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    cpu_s: float
    pss_mb: float
    """What processes share, such as Postgres' buffers, counts once, however many of them touched it."""


def usage(stack: Stack) -> dict[str, Usage]:
    """Of each part of the stack, its children included."""
    found: dict[str, Usage] = {}
    for name, part in stack.parts.items():
        processes = _family(part.process.pid)
        found[name] = Usage(
            cpu_s=sum(_cpu_s(each) for each in processes),
            pss_mb=sum(_pss(each) for each in processes) / 1024**2,
        )
    return found


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return used.user + used.system


def _pss(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0


# Of the services' own roles only: what the bench itself asks is not theirs. What begins and ends transactions and tells
# Postgres the tenant is no query, and would make the mean smaller than it is.
IS_QUERY: Final = """
pg_get_userbyid(userid) LIKE '%\\_app'
AND query !~* '^\\s*(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|SHOW|LISTEN|UNLISTEN|SELECT set_config)\\M'
"""
QUERIES: Final[LiteralString] = f"""
SELECT coalesce(sum(calls), 0)::float8 AS calls, coalesce(sum(total_exec_time), 0)::float8 AS total_ms,
       coalesce(max(max_exec_time), 0)::float8 AS longest_ms,
       count(*) FILTER (WHERE mean_exec_time > 100) AS slow
FROM pg_stat_statements
WHERE {IS_QUERY}
"""
CONNECTIONS: LiteralString = """
SELECT count(*), count(*) FILTER (WHERE state <> 'idle')
FROM pg_stat_activity
WHERE usename LIKE '%\\_app'
"""
# From the moment a mark was made to the guardians' inboxes.
ALERTS: LiteralString = """
SELECT extract(epoch FROM notification.created_at - mark.recorded_at)::float8
FROM notification.notification
JOIN academic.attendance_mark AS mark
    ON mark.school_id = notification.school_id AND mark.student_id = notification.student_id
    AND mark.register_version = 1
WHERE notification.category = 'absence_alert'
AND mark.kind = 'absent'
AND notification.deep_link LIKE '%' || mark.day
AND mark.recorded_at = (
    SELECT min(first.recorded_at)
    FROM academic.attendance_mark AS first
    WHERE first.school_id = mark.school_id AND first.student_id = mark.student_id AND first.day = mark.day
    AND first.kind = 'absent'
)
"""


class Queries(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    """Reads and writes of the services, their workers' polls among them."""
    per_minute: float
    mean_ms: float
    longest_ms: float
    slower_than_100_ms: int
    """Statements whose mean is above it, those that ran only once among them."""


class Connections(msgspec.Struct, kw_only=True):
    """The most seen at once."""

    open: int = 0
    active: int = 0
    samples: int = 0
    """How often it was looked; 0 when whoever looked did not last to the end: then nothing is known."""


class DatabaseWatch:
    def __init__(self, admin_url: str) -> None:
        self._url = admin_url
        self.connections = Connections()
        self.fault = ""

    def reset(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("SELECT pg_stat_statements_reset()")

    def queries(self, *, seconds: float) -> Queries:
        with psycopg.connect(self._url) as connection:
            row = connection.execute(QUERIES).fetchone()
        assert row is not None
        calls, total_ms, longest_ms, slow = row
        return Queries(
            count=int(calls),
            per_minute=calls * 60 / seconds,
            mean_ms=total_ms / max(calls, 1),
            longest_ms=longest_ms,
            slower_than_100_ms=slow,
        )

    async def alerts(self, *, expected: int, timeout_s: float) -> Percentiles:
        """Once all that are expected have arrived; those that are there after `timeout_s` otherwise."""
        until = time.monotonic() + timeout_s
        while True:
            with psycopg.connect(self._url) as connection:
                seconds = [each for (each,) in connection.execute(ALERTS).fetchall()]
            if len(seconds) >= expected or time.monotonic() >= until:
                return of(seconds)
            await asyncio.sleep(SAMPLE_S)

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            sampling.cancel()
            (ended,) = await asyncio.gather(sampling, return_exceptions=True)
            if not isinstance(ended, asyncio.CancelledError):
                self.connections = Connections()
                self.fault = f"connections could not be counted: {ended!r}"

    async def _sample(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            while True:
                row = await (await connection.execute(CONNECTIONS)).fetchone()
                assert row is not None
                self.connections.open = max(self.connections.open, row[0])
                self.connections.active = max(self.connections.active, row[1])
                self.connections.samples += 1
                await asyncio.sleep(SAMPLE_S)


def cpu_us_per_request(
    before: Mapping[str, Usage], after: Mapping[str, Usage], requests: int
) -> dict[str, tuple[float, float]]:
    """Microseconds of CPU for each request that the gateway answered, and the memory at the end in MB."""
    return {
        name: ((after[name].cpu_s - before[name].cpu_s) * 1e6 / max(requests, 1), after[name].pss_mb)
        for name in after
        if name in before
    }
