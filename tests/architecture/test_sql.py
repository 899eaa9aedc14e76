"""Every statement of the house, prepared against the migrated database, and read for its tenant."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from shared.testing.stack import Stack
from tools.topology import SERVICE_NAMES

STATEMENT = re.compile(r"\s*(--[^\n]*\n\s*)*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
PARAMETER = re.compile(r"%\((\w+)\)s")
SHARED_MODULES = ("shared.outbox", "shared.worker", "shared.relay", "shared.idempotency")


class Statement:
    """An upper-case constant of a module whose text is SQL."""

    def __init__(self, service: str, module: str, name: str, text: str) -> None:
        self.service, self.module, self.name, self.text = service, module, name, text

    def __repr__(self) -> str:
        return f"{self.module}.{self.name}"


def modules_of(service: str) -> list[str]:
    found = [str(path) for path in sorted(Path(f"services/{service}").rglob("*.py")) if "tests" not in path.parts]
    return [path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in found]


def statements_in(service: str, module: str) -> Iterator[Statement]:
    constants = vars(importlib.import_module(module)).items()
    for name, text in sorted(constants):
        if name.isupper() and isinstance(text, str) and STATEMENT.match(text) and not name.startswith("SELECT_"):
            yield Statement(service, module, name, text)


def statements() -> list[Statement]:
    own = [
        (service, module)
        for service in SERVICE_NAMES
        for module in modules_of(service)
        if not module.endswith("__main__")
    ]
    shared = [("academic", module) for module in SHARED_MODULES]
    return [statement for service, module in [*shared, *own] for statement in statements_in(service, module)]


ALL = statements()


def test_there_are_statements() -> None:
    assert len(ALL) > 100


@pytest.mark.parametrize("statement", ALL, ids=repr)
def test_the_database_accepts(stack: Stack, statement: Statement) -> None:
    numbers: dict[str, int] = {}
    text = PARAMETER.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", statement.text)

    with psycopg.connect(stack.database_url(statement.service), autocommit=True) as connection:
        connection.execute(f"PREPARE statement AS {text.replace('%%', '%')}".encode())


def lacks_tenant(text: str) -> bool:
    """A statement over tenant tables must name the school, or say why it does not: `-- unscoped: reason`."""
    return "school_id" not in text and "-- unscoped: " not in text and not is_tableless(text)


def is_tableless(text: str) -> bool:
    return re.search(r"\b(FROM|INTO|UPDATE|JOIN)\s+[a-z_]", text) is None


@pytest.mark.parametrize("statement", [each for each in ALL if each.module.startswith("services.")], ids=repr)
def test_names_its_school(statement: Statement) -> None:
    assert not lacks_tenant(statement.text), "let it name school_id, or begin with `-- unscoped: why`"


@pytest.mark.parametrize(
    ("text", "is_lacking"),
    [
        ("SELECT id FROM student WHERE id = %(id)s", True),
        ("SELECT id FROM student WHERE school_id = %(school_id)s", False),
        ("-- unscoped: ids only\nSELECT id FROM due", False),
        ("SELECT pg_advisory_xact_lock(1)", False),
    ],
)
def test_control_a_forgotten_school_is_seen(text: str, is_lacking: bool) -> None:
    assert lacks_tenant(text) is is_lacking


def test_no_setting_outlives_its_transaction() -> None:
    """The wall of tenancy rests on transaction-local settings: nothing of ours sets one for a session."""
    sources = [path for room in ("shared", "services", "gateway") for path in Path(room).rglob("*.py")]
    session_wide = re.compile(r"set_config\([^)]*false\)|SET SESSION|\bSET (?!LOCAL|CONSTRAINTS)app\.", re.IGNORECASE)

    assert [str(path) for path in sources if "tests" not in path.parts and session_wide.search(path.read_text())] == []
