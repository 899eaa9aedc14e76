"""What squawk does not look at in a migration: its name, and that it can be begun again without a transaction."""

import re
from pathlib import Path

import pytest

MERGED_BEFORE = {
    Path(f"services/notification/migrations/{name}.sql")
    for name in ("0012_notification_subject", "0013_membership_role", "0015_guardian_link_guardian")
}
"""They say no IF NOT EXISTS; what was merged is never edited."""
FILES = sorted({*Path("services").glob("*/migrations/*.sql")} - MERGED_BEFORE)
NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+\.sql")
AGAIN = re.compile(r"CREATE (UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS |DROP INDEX CONCURRENTLY IF EXISTS ")
GOOD = "-- no transaction\n-- Large rooms.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS seats ON room (school_id, seats);\n"


def faults(name: str, text: str) -> list[str]:
    """What is wrong with a migration, by what to do about it."""
    found = [] if NAME.fullmatch(name) else ["call it <four digits>_<idea>.sql"]
    statements = [each.strip() for each in re.sub(r"--[^\n]*", "", text).split(";") if each.strip()]
    concurrent = [each for each in statements if " CONCURRENTLY " in each]
    if not text.startswith("-- no transaction\n"):
        return [*found, "begin it with the line `-- no transaction`"] if concurrent else found
    if len(statements) != 1 or not concurrent:
        found.append("without a transaction a file holds one statement with CONCURRENTLY and nothing else")
    if not all(AGAIN.match(each) for each in concurrent):
        found.append("say IF NOT EXISTS, or IF EXISTS: whoever begins again may find it done")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[1]}-{path.stem}")
def test_a_migration_can_be_begun_again(path: Path) -> None:
    assert faults(path.name, path.read_text()) == []


@pytest.mark.parametrize("path", sorted(MERGED_BEFORE), ids=lambda path: path.stem)
def test_control_what_was_merged_before_is_seen(path: Path) -> None:
    assert faults(path.name, path.read_text()) == [
        "say IF NOT EXISTS, or IF EXISTS: whoever begins again may find it done"
    ]


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("0033_seats.sql", GOOD, 0),
        ("33_seats.sql", GOOD, 1),
        ("0033_seats.sql", GOOD.removeprefix("-- no transaction\n"), 1),
        ("0033_seats.sql", f"{GOOD}{GOOD}", 1),
        ("0033_seats.sql", "-- no transaction\nUPDATE room SET seats = 0;\n", 1),
        ("0033_seats.sql", "ALTER TABLE room ADD COLUMN seats int;\nALTER TABLE room ADD COLUMN floor int;\n", 0),
    ],
)
def test_control_a_careless_file_is_seen(name: str, text: str, count: int) -> None:
    assert len(faults(name, text)) == count
