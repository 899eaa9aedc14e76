"""The plans that Postgres really used, told by auto_explain on the very connections of the service."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakSet

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.errors import Diagnostic

BIG: Final = 2_000
"""Rows from which on a table must not be read as a whole."""
SLACK: Final = 50
"""Rows that may always be filtered away: a page or two."""
PLAN: Final = re.compile(r"duration: .*? plan:\n(\{.*)", re.DOTALL)

SETTINGS: Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
}


class Plan(msgspec.Struct, frozen=True):
    statement: str
    root: Any


def explain_for(admin_url: str, role: str, **more: str) -> None:
    """Make every later connection of `role` to this database tell its plans."""
    name = admin_url.rpartition("/")[2]
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for setting, value in (SETTINGS | more).items():
            connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                    sql.Identifier(role), sql.Identifier(name), sql.SQL(setting), sql.Literal(value)
                )
            )


def sizes(admin_url: str) -> dict[str, float]:
    """The rows of each table and each index, by its name: as the planner knows them."""
    with psycopg.connect(admin_url) as connection:
        found = connection.execute(
            "SELECT n.nspname || '.' || c.relname, c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = "
            "c.relnamespace WHERE c.relkind IN ('r', 'i')"
        ).fetchall()
    return {name: float(rows) for name, rows in found}


@contextmanager
def recorded() -> Generator[list[Plan]]:
    """All plans of this process while the context is open."""
    plans: list[Plan] = []
    listening: WeakSet[psycopg.AsyncConnection[Any]] = WeakSet()
    execute = psycopg.AsyncConnection.execute

    def hear(diagnostic: Diagnostic) -> None:
        if found := PLAN.match(diagnostic.message_primary or ""):
            told = msgspec.json.decode(found.group(1))
            plans.append(Plan(told["Query Text"], told["Plan"]))

    async def heard(connection: Any, *arguments: Any, **how: Any) -> Any:
        if connection not in listening:
            listening.add(connection)
            connection.add_notice_handler(hear)
        return await execute(connection, *arguments, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "execute", heard)
        yield plans
    for connection in listening:
        connection.remove_notice_handler(hear)


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for inner in node.get("Plans", ()):
        yield from nodes(inner)


def faults(plan: Plan, *, rows_of: dict[str, float], schema: str, walks: bool = False) -> list[str]:
    """What makes a statement slower the more schools there are, or, unless it `walks`, the larger its own school is."""
    found: list[str] = []
    for node in nodes(plan.root):
        rows = rows_of.get(f"{schema}.{node.get('Relation Name')}", 0)
        if rows >= BIG and node.get("Actual Loops", 0):
            indexed = rows_of.get(f"{schema}.{node.get('Index Name')}", 0)
            found += [*_whole_tables(node, rows, indexed), *([] if walks else _removed(node))]
    return [f"{fault}\n{plan.statement.strip()}" for fault in found]


def _whole_tables(node: Any, rows: float, indexed: float) -> Iterator[str]:
    """A small index is a partial one, as of what waits: that may be read from its beginning."""
    kind, table = node["Node Type"], node["Relation Name"]
    if kind == "Seq Scan":
        yield f"Seq Scan on {table} ({rows:.0f} rows)"
    if kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node and indexed >= BIG:
        yield f"{kind} of all of {node['Index Name']}"


def _removed(node: Any) -> Iterator[str]:
    loops = node["Actual Loops"]
    removed = (node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)) * loops
    returned = node["Actual Rows"] * loops
    if removed > 10 * returned + SLACK:
        yield f"{node['Node Type']} on {node['Relation Name']}: {removed:.0f} rows removed for {returned:.0f} returned"
