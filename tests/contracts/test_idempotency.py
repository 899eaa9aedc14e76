"""Bar B23 over the whole house: whatever takes an Idempotency-Key is done once and answered twice."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from services.academic.imports.schemas import Diff, Report, Totals
from shared.ids import new_id
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.contracts.hostile import Hostile, honest_request, sent
from tests.contracts.test_never_5xx import MAY_DO_MOST, callers
from tests.operations import Operation
from tests.whole_house import FilledSchool, House, open_house

KEY = "Idempotency-Key"
MAKE_CHECKED = "UPDATE academic.import_job SET state = 'checked', report = %s::jsonb WHERE id = %s"
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = %s::regnamespace AND relkind = 'r' AND relname NOT IN ('inbox', 'idempotency')
ORDER BY relname
"""


@pytest.fixture(scope="module")
async def house(stack: Stack, tokens: Tokens) -> AsyncGenerator[House]:
    async with open_house(stack, tokens) as house:
        yield house


@pytest.fixture(scope="module")
async def school(house: House) -> FilledSchool:
    school = await FilledSchool(house, "QTWICE").fill()
    report = Report(oneroster_version="1.1", rows={}, totals=Totals(), diff=Diff(), vanished=[], notes=[])
    with psycopg.connect(house.stack.admin_url, autocommit=True) as admin:
        admin.execute(MAKE_CHECKED, (msgspec.json.encode(report).decode(), school.ids["job_id"]))
    return school


def takes_key(operation: Operation) -> bool:
    return any(each.name == KEY for each in operation.parameters_in("header"))


async def headers_for(operation: Operation, school: FilledSchool) -> Mapping[str, str]:
    found = dict(await callers(operation, school))
    return found[next(role for role in MAY_DO_MOST if role in found)]


def rows(stack: Stack, service: str) -> dict[str, int]:
    """How many there are in each table."""
    found: dict[str, int] = {}
    with psycopg.connect(stack.admin_url, autocommit=True) as admin:
        for (table,) in admin.execute(TABLES, (service,)).fetchall():
            count = admin.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(service, table))).fetchone()
            assert count is not None
            found[table] = count[0]
    return found


async def asked(house: House, school: FilledSchool, operation: Operation, key: str | None) -> list[Any]:
    """Two answers to the same request, and what stood in the tables after each."""
    good = honest_request(operation, school.values())
    headers = {**await headers_for(operation, school), **good.headers, **({KEY: key} if key else {})}
    request = Hostile(told="", method="POST", url=operation.url(good.path), headers={}, content=good.content)
    told: list[Any] = []
    for _ in range(2):
        answer = await sent(house.services[operation.service].client, request, headers)
        assert answer.is_success, f"{operation}: {answer.text}"
        told.append((answer, rows(house.stack, operation.service)))
    return told


async def test_every_operation_that_takes_a_key_is_done_once(house: House, school: FilledSchool) -> None:
    operations = [each for each in house.operations if takes_key(each)]
    for operation in operations:
        (first, before), (again, after) = await asked(house, school, operation, str(new_id()))

        assert (again.status_code, again.content) == (first.status_code, first.content), operation
        assert again.headers["idempotency-replayed"] == "true"
        assert after == before, operation

    assert len(operations) >= 15


async def test_control_without_a_key_there_are_two(house: House, school: FilledSchool) -> None:
    """The same comparison sees a second effect, and another answer."""
    operation = next(each for each in house.operations if each.operation_id == "add_student")

    (first, before), (again, after) = await asked(house, school, operation, None)

    assert again.content != first.content
    assert after != before
