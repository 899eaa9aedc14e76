"""What an operator is told of the database."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from shared.testing.stack import Stack
from tools import db_top


@pytest.fixture
def connection(stack: Stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(stack.admin_url, autocommit=True) as connection:
        yield connection


def test_a_slow_statement_is_named_with_its_times_and_its_role(stack: Stack, connection: psycopg.Connection) -> None:
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        owner.execute("SELECT pg_sleep(0.15), 'slow on purpose' AS told")

    found = db_top.statements(connection)
    text = db_top.report(found, db_top.connections(connection), limit=3)

    slow = text[text.index("Slower than 100 ms") :]
    assert "pg_sleep" in slow
    assert "school_owner" in slow
    assert "slow on purpose" not in text


def test_a_statement_that_was_slow_once_is_named_however_fast_it_is_on_average(
    stack: Stack, connection: psycopg.Connection
) -> None:
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        for seconds in (0.15, *[0.0] * 50):
            owner.execute("SELECT pg_sleep(%s), current_user", (seconds,))

    text = db_top.report(db_top.statements(connection), [], limit=1)

    assert "pg_sleep($1), current_user" in text[text.index("Slower than 100 ms") :]


def test_the_server_logs_what_was_slow_and_no_value_of_it(stack: Stack, connection: psycopg.Connection) -> None:
    names = ("log_min_duration_statement", "log_parameter_max_length", "log_error_verbosity")

    assert [connection.execute(f"SHOW {name}").fetchone() for name in names] == [("100ms",), ("0",), ("terse",)]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_the_most_expensive_come_first_and_no_more_than_asked_for(connection: psycopg.Connection) -> None:
    for statement in ("SELECT 1", "SELECT 1, 2", "SELECT 1, 2, 3"):
        connection.execute(statement)

    found = db_top.statements(connection)

    text = db_top.report(found, [], limit=2)
    assert [each.total_ms for each in found] == sorted((each.total_ms for each in found), reverse=True)
    assert text[text.index("Top 2") : text.index("Slower than")].count(" calls ") == 2


def test_a_database_that_does_not_answer_gets_one_sentence(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "tools.db_top", "--url", "postgresql://nobody@127.0.0.1:1/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 1
    assert finished.stderr.startswith("The database cannot be asked: ")
    assert "Traceback" not in finished.stderr
