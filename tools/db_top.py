"""`make db-top`: what the database spends its time on, by pg_stat_statements.

`python -m tools.db_top [--url URL] [--limit 10] [--reset]`. Without a URL it asks the stack that `make run` started.
The URL's role needs `pg_read_all_stats`, or is a superuser. Texts of statements hold no values: they are normalised.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, LiteralString
from urllib.parse import quote

import msgspec
import psycopg
from psycopg.rows import class_row

from tools.embedded.postgres import SUPERUSER
from tools.topology import DATABASE

ROOT: Final = Path(__file__).parent.parent
SLOW_MS: Final = 100.0
WIDTH: Final = 150

# A role's name tells the service: `academic_app`.
STATEMENTS: LiteralString = """
SELECT pg_get_userbyid(userid) AS role, calls, total_exec_time AS total_ms, mean_exec_time AS mean_ms,
       max_exec_time AS longest_ms, rows, query,
       total_exec_time / greatest(sum(total_exec_time) OVER (), 0.001) AS share
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
AND toplevel
ORDER BY total_exec_time DESC, queryid
"""

CONNECTIONS: LiteralString = """
SELECT coalesce(usename, '') AS role, count(*) AS open, count(*) FILTER (WHERE state <> 'idle') AS active,
       coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS longest_transaction_s
FROM pg_stat_activity
WHERE backend_type = 'client backend'
AND pid <> pg_backend_pid()
GROUP BY usename
ORDER BY usename
"""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    calls: int
    total_ms: float
    mean_ms: float
    longest_ms: float
    rows: int
    query: str
    share: float
    """Of all execution time since the figures were last reset."""


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    open: int
    active: int
    longest_transaction_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description="What the database spends its time on.")
    parser.add_argument("--url", help="a database URL; the running stack of .run unless told")
    parser.add_argument("--limit", type=int, default=10, help="how many statements, by total time")
    parser.add_argument("--reset", action="store_true", help="count anew from now on")
    options = parser.parse_args()
    try:
        with psycopg.connect(options.url or url_of_run(ROOT / ".run"), connect_timeout=5) as connection:
            print(report(statements(connection), connections(connection), limit=options.limit))
            if options.reset:
                connection.execute("SELECT pg_stat_statements_reset()")
    except (psycopg.Error, FileNotFoundError) as error:
        print(f"The database cannot be asked: {str(error).strip() or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def url_of_run(directory: Path) -> str:
    """The superuser's way into the embedded Postgres that runs from this folder. Raises FileNotFoundError."""
    postgres = directory / "postgres"
    password = (postgres / "superuser_password").read_text()
    # The fourth line of a running server's pid file is its port.
    port = (postgres / "data" / "postmaster.pid").read_text().splitlines()[3]
    return f"postgresql://{SUPERUSER}:{quote(password, safe='')}@127.0.0.1:{port}/{DATABASE}"


def statements(connection: psycopg.Connection) -> list[Statement]:
    """The most expensive first."""
    with connection.cursor(row_factory=class_row(Statement)) as cursor:
        return cursor.execute(STATEMENTS).fetchall()


def connections(connection: psycopg.Connection) -> list[Connections]:
    with connection.cursor(row_factory=class_row(Connections)) as cursor:
        return cursor.execute(CONNECTIONS).fetchall()


def report(found: Sequence[Statement], open_: Sequence[Connections], *, limit: int) -> str:
    slow = sorted((each for each in found if each.longest_ms > SLOW_MS), key=lambda each: -each.longest_ms)
    calls = sum(each.calls for each in found)
    total_ms = sum(each.total_ms for each in found)
    return "\n".join(
        [
            f"{calls} statements in {total_ms:.0f} ms, {total_ms / max(calls, 1):.2f} ms on average",
            f"{sum(each.open for each in open_)} connections open, {sum(each.active for each in open_)} active",
            *(f"  {_connections(each)}" for each in open_),
            "",
            f"Top {limit} by total time",
            *(_lines(each) for each in found[:limit]),
            "",
            f"Slower than {SLOW_MS:.0f} ms at least once, the slowest first: {len(slow) or 'none'}",
            *(_lines(each) for each in slow),
        ]
    )


def _connections(each: Connections) -> str:
    longest = f", a transaction open for {each.longest_transaction_s:.1f} s" if each.longest_transaction_s > 1 else ""
    return f"{each.role:<22}{each.open:>3} open, {each.active} active{longest}"


def _lines(each: Statement) -> str:
    text = " ".join(each.query.split())
    shown = text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
    return (
        f"  {each.share:6.1%} {each.total_ms:>10.0f} ms  {each.calls:>8} calls  mean {each.mean_ms:.2f} ms  "
        f"longest {each.longest_ms:.0f} ms  {each.rows} rows  {each.role}\n      {shown}"
    )


if __name__ == "__main__":
    sys.exit(main())
