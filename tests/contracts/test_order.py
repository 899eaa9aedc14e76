"""Events come in any order: to who keeps a read model, an older one that comes after a newer one changes nothing."""

from collections.abc import AsyncGenerator
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
import pytest

from services.communication.roster import queries as roster
from shared.bus import Outcome
from shared.contracts.academic import StudentChanged
from shared.contracts.envelope import event_type
from shared.contracts.school import SchoolChanged
from shared.ids import new_id
from shared.testing.bus import deliver
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker
from tests.whole_house import House, open_house
from tools.dumps import EVENTS, events
from tools.topology import SERVICE_NAMES

BY_TYPE: Final = {event_type(each): each for each in events()}
SCHOOL: Final = event_type(SchoolChanged)
NEWEST: Final = 5
OF_THE_HOUSE: Final = frozenset({"inbox", "idempotency_key", "migration"})
"""What every delivery leaves behind."""
FITTING: Final[dict[str, object]] = {"time_zone": "Europe/Paris", "bell_periods": []}
"""Where a sample is of the right shape, and no school is like it."""
NAMING: Final = FITTING.keys() | {"edition"}
"""That of an announcement is the version itself."""
LISTENERS: Final = sorted(set(SERVICE_NAMES) - {"notification"})
"""That one tells people what it hears, rather than keep it; its own tests say what each event does when it is late."""
NOTED: Final = "touched_at"
"""When something was heard of it last, for who makes a read model anew."""
TABLES: Final = """
SELECT table_name
FROM information_schema.columns
WHERE table_schema = %s AND column_name = 'school_id'
ORDER BY table_name
"""


@pytest.fixture
async def house(stack: Stack, tokens: Tokens) -> AsyncGenerator[House]:
    async with open_house(stack, tokens) as house:
        yield house


def sample_of(type_: str, school_id: UUID) -> Any:
    """The committed one, for this school; where any text would do, one that means something."""
    sample = msgspec.json.decode((EVENTS / f"{type_}.sample.json").read_bytes())
    fitting = {name: value for name, value in (FITTING | {"school_id": str(school_id)}).items() if name in sample}
    return msgspec.convert(sample | fitting, BY_TYPE[type_])


def older_than(event: Any) -> Any:
    """The same subject with other facts: what names it, and the days that it is of, stay."""
    older = event
    for name, value in msgspec.structs.asdict(event).items():
        match value:
            case _ if name in NAMING:
                pass
            case bool():
                older = changed(older, name, not value)
            case int():
                older = changed(older, name, value + 1)
            case str():
                older = changed(older, name, f"{value} of old")
            case _:
                pass
    return older


def changed(event: Any, name: str, value: object) -> Any:
    """As it was where the contract takes no other value."""
    other = msgspec.structs.replace(event, **{name: value})
    try:
        return msgspec.convert(msgspec.to_builtins(other), type(event))
    except msgspec.ValidationError:
        return event


def kept(stack: Stack, service: str, school_id: UUID) -> dict[str, list[str]]:
    """Every row of the school, by table, and what was told."""
    with psycopg.connect(stack.admin_url) as connection:
        tables = [table for (table,) in connection.execute(TABLES, [service]) if table not in OF_THE_HOUSE]
        rows = {table: _rows(connection, service, table, school_id) for table in tables}
        told = connection.execute(f"SELECT count(*)::text FROM {service}.outbox").fetchall()
    return rows | {"outbox": [count for (count,) in told]}


def _rows(connection: psycopg.Connection[Any], service: str, table: str, school_id: UUID) -> list[str]:
    sql = f"SELECT (to_jsonb(each) - %s)::text FROM {service}.{table} AS each WHERE school_id = %s ORDER BY 1"
    return [row for (row,) in connection.execute(sql, [NOTED, school_id])]


async def hears(worker: Worker, type_: str, school_id: UUID, version: int) -> None:
    event = sample_of(type_, school_id)
    told = event if version == NEWEST else older_than(event)
    outcome = await deliver(worker, told, school_id=school_id, version=version, subject="the same")
    assert outcome is Outcome.DONE, f"{type_}, version {version}"


async def late(house: House, stack: Stack, service: str, type_: str) -> list[str]:
    """The tables that an older event changes after a newer one."""
    worker, school_id = house.services[service].worker, new_id()
    if SCHOOL in worker.event_types:
        await hears(worker, SCHOOL, school_id, NEWEST)
    await hears(worker, type_, school_id, NEWEST)
    before = kept(stack, service, school_id)
    await hears(worker, type_, school_id, NEWEST - 1)
    after = kept(stack, service, school_id)
    return [f"{type_}: {table}" for table in before if before[table] != after[table]]


@pytest.mark.parametrize("service", LISTENERS)
async def test_what_is_older_changes_nothing(house: House, stack: Stack, service: str) -> None:
    types = house.services[service].worker.event_types

    assert [await late(house, stack, service, each) for each in types] == [[] for _ in types]


async def test_control_who_takes_the_last_for_the_newest_is_found_out(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if nobody had thought of the versions: whatever comes counts."""
    careless = roster.SAVE_STUDENT.replace("excluded.version > student.version", "true")
    assert careless != roster.SAVE_STUDENT
    monkeypatch.setattr(roster, "SAVE_STUDENT", careless)

    assert await late(house, stack, "communication", event_type(StudentChanged)) == [
        "academic.student_changed.v1: student"
    ]
