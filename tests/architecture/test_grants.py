"""Least privilege: a service's role may do to a table what some statement of the service does, and nothing else."""

import re
from collections.abc import Iterable

import psycopg
import pytest

from shared.testing.stack import Stack
from tests.architecture.test_sql import ALL
from tools.topology import SERVICE_NAMES

WRITES = {
    "INSERT": re.compile(r"\bINSERT\s+INTO\s+([a-z_]+)"),
    "UPDATE": re.compile(r"\bUPDATE\s+([a-z_]+)"),
    "DELETE": re.compile(r"\bDELETE\s+FROM\s+([a-z_]+)"),
}
READ = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)")
LOCKS = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|(?:KEY\s+)?SHARE)\b")
"""Postgres asks for the right to UPDATE of who locks a row."""
REPLACES = re.compile(r"\bDO\s+UPDATE\s+SET\b")
GRANTED = """
SELECT table_name, privilege_type
FROM information_schema.role_table_grants
WHERE grantee = %s AND table_schema = %s AND privilege_type <> 'SELECT'
"""

Right = tuple[str, str]


def needed_for(text: str) -> set[Right]:
    """The rights to write that a statement asks for."""
    found = {(table, verb) for verb, pattern in WRITES.items() for table in pattern.findall(text)}
    if REPLACES.search(text):
        found |= {(table, "UPDATE") for table, verb in found if verb == "INSERT"}
    if LOCKS.search(text):
        found |= {(table, "UPDATE") for table in READ.findall(text)}
    return found


def needed(texts: Iterable[str]) -> set[Right]:
    return {right for text in texts for right in needed_for(text)}


def granted(stack: Stack, service: str) -> set[Right]:
    with psycopg.connect(stack.admin_url) as connection:
        return {(table, verb) for table, verb in connection.execute(GRANTED, [f"{service}_app", service])}


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_no_service_may_write_what_none_of_its_statements_writes(stack: Stack, service: str) -> None:
    own = needed(each.text for each in ALL if each.service == service or each.module.startswith("shared."))

    assert granted(stack, service) - own == set(), "REVOKE it, or grant it with the statement that needs it"


@pytest.mark.parametrize(
    ("text", "rights"),
    [
        ("SELECT id FROM room WHERE id = 1", set()),
        ("SELECT id FROM room WHERE id = 1 FOR UPDATE SKIP LOCKED", {("room", "UPDATE")}),
        ("INSERT INTO room (id) VALUES (1) ON CONFLICT DO NOTHING", {("room", "INSERT")}),
        (
            "INSERT INTO room (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2",
            {("room", "INSERT"), ("room", "UPDATE")},
        ),
        (
            "WITH gone AS (DELETE FROM room RETURNING id) UPDATE hall SET id = 1",
            {("room", "DELETE"), ("hall", "UPDATE")},
        ),
    ],
)
def test_control_what_a_statement_needs(text: str, rights: set[Right]) -> None:
    assert needed_for(text) == rights
