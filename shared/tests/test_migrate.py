"""Migrations of a schema that lives."""

from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from shared.migrate import migrate
from shared.testing.stack import Stack

TABLE = "CREATE TABLE trial (id int NOT NULL); INSERT INTO trial VALUES (1), (1);"
INDEX = "-- no transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS trial_id ON trial (id);\n"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'trial_id'::regclass"


@pytest.fixture
def owner(stack: Stack) -> Generator[psycopg.Connection]:
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        yield owner
        owner.execute("DROP TABLE IF EXISTS trial")
        owner.execute("DELETE FROM schema_migration WHERE name LIKE '%_trial%'")


def test_an_index_that_was_left_half_built_is_built_anew(
    stack: Stack, owner: psycopg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "0901_trial.sql").write_text(TABLE)
    (tmp_path / "0902_trial_index.sql").write_text(INDEX)
    with pytest.raises(psycopg.errors.UniqueViolation):
        migrate("school", owner_url=stack.owner_url("school"), directory=tmp_path)
    left_half_built = owner.execute(VALID).fetchone() == (False,)
    owner.execute("DELETE FROM trial")

    applied = migrate("school", owner_url=stack.owner_url("school"), directory=tmp_path)

    assert left_half_built
    assert applied == ["0902_trial_index"]
    assert owner.execute(VALID).fetchone() == (True,)
