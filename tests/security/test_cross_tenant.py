"""Bar B2: whoever belongs to one school learns nothing of another and changes nothing there, by any operation."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import psycopg
import pytest

from services.academic import access
from services.academic.people import queries as people
from shared.identity import Caller, Role
from shared.problems import Forbidden
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.operations import Operation
from tests.security.attacks import Attack, Attacker, changes, request_of, rows_of, tables_of_schools
from tests.whole_house import PASSWORD, SCHOOL_ROLES, FilledSchool, House, open_house
from tools.dumps import UNIONS
from tools.topology import SERVICE_NAMES

WALL = re.compile(r"(?:\w+\.)?school_id = %\(school_id\)s")
EMPTY = {
    **{f"{name}.idempotency": "only what is sent with a key is remembered; bar B23 sends it" for name in SERVICE_NAMES},
    "academic.register_notice": "what was told of a missing register, once it is late; nobody can ask for it",
    "academic.roster_org": "ids that only imports find, and only they read",
    "notification.alert_due": "when to tell; the alerts of the school were told",
}
"""Tables in which the school that is attacked has no rows, and why that is enough."""
OPEN = frozenset({"auth.password_reset_request"})
"""Whoever knows an address may ask for a new password for it, with no token at all; the mail goes to its owner."""
NOT_ANSWERED = {
    "confirm_password_reset": "the code of the mail is 256 random bits; who has it is who it was sent to",
    "accept_invite": "the code of the mail is 256 random bits; who has it is who it was sent to",
    "apply_import": "an import must have been checked first; it belongs to the platform and has no school",
}
"""Operations that an honest request, as the document tells of it, cannot move to say yes; and why that is enough."""


@pytest.fixture(scope="module")
async def house(stack: Stack, tokens: Tokens) -> AsyncGenerator[House]:
    async with open_house(stack, tokens) as house:
        yield house


@pytest.fixture(scope="module")
async def bystander(house: House) -> FilledSchool:
    return await FilledSchool(house, "QBYSTND").fill()


@pytest.fixture(scope="module")
async def attacker(house: House, bystander: FilledSchool) -> Attacker:
    other = await FilledSchool(house, "QVICTIM").fill()
    attacker = Attacker(house, await FilledSchool(house, "QATTACK").fill(), other)
    await attacker.learn_cursors()
    return attacker


def reading(house: House, *operation_ids: str) -> list[Operation]:
    return [each for each in house.operations if each.operation_id in operation_ids]


async def test_no_operation_tells_of_another_school_or_changes_it(house: House, attacker: Attacker) -> None:
    before = rows_of(house, attacker.other)

    found = await attacker.run(house.operations)

    assert not found, "\n\n".join(found[:20])
    after = rows_of(house, attacker.other)
    assert changes(before, after, shared=OPEN) == set()
    assert unfilled(house, before) == EMPTY.keys(), "let FilledSchool (tests/whole_house.py) make rows of it"


def unfilled(house: House, rows: Mapping[str, list[str]]) -> set[str]:
    """The tables that could hold something of the school, and hold nothing."""
    outboxes = {f"{service}.outbox" for service in UNIONS}
    return {table for table in tables_of_schools(house) | outboxes if not rows[table]}


async def test_control_a_table_that_is_not_filled_is_found(house: House, bystander: FilledSchool) -> None:
    full = {table: ["a row"] for table in rows_of(house, bystander)}  # what it holds by now is up to the tests before

    assert unfilled(house, {**full, "school.room": [], "auth.outbox": []}) == {"school.room", "auth.outbox"}


async def test_what_is_attacked_answers_the_honest(house: House, bystander: FilledSchool) -> None:
    """An attack on an operation that refuses everybody would prove nothing."""
    last = {"complete_file": 1, "show_file_download": 2, "delete_file": 3, "change_password": 4, "sign_out": 4}

    refused = [
        each.operation_id
        for each in sorted(house.operations, key=lambda each: last.get(each.operation_id, 0))
        if not await is_answered(bystander, each)
    ]

    assert sorted(refused) == sorted(NOT_ANSWERED)


async def is_answered(school: FilledSchool, operation: Operation) -> bool:
    """Whether anybody who may call it gets a yes; of changes, for the version that the record has by now."""
    session = await school.session(Role.TEACHER)
    secrets = {
        "sign_in": {"email": school.logins[Role.TEACHER].email, "password": PASSWORD},
        "refresh_session": {"refresh_token": session["refresh_token"]},
        "change_password": {"current_password": PASSWORD, "new_password": "another horse battery"},
        "issue_service_token": {"service": "academic", "secret": "academic-secret"},
    }
    own = {f"{name}.{field}": value for name, each in secrets.items() for field, value in each.items()}
    for headers in await callers(operation, school):
        for version in range(1, 6):
            attack = Attack(told="nothing", values={**school.values(), **own}, version=version)
            answer = await school.house.send(operation.service, **request_of(operation, attack, headers))
            if answer.is_success:
                return True
    return False


async def callers(operation: Operation, school: FilledSchool) -> list[dict[str, str]]:
    match operation.access:
        case "public":
            return [{}]
        case "internal":
            return [school.house.tokens.service_headers(service) for service in ("academic", "school")]
        case _:
            roles = [role for role in (*SCHOOL_ROLES, Role.PLATFORM_ADMIN) if role in operation.roles]
            return [await school.signed_in(operation.service, role) for role in roles]


TRUSTED: ContextVar[UUID | None] = ContextVar("TRUSTED", default=None)


async def test_control_a_service_that_believes_a_header_is_found_out(
    house: House, attacker: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_token, send = Caller.school.fget, House.send

    async def believing(house: House, service: str, method: str, path: str, **how: Any) -> Any:
        told = how.get("headers", {}).get("x-school-id")
        TRUSTED.set(UUID(told) if told else None)
        return await send(house, service, method, path, **how)

    monkeypatch.setattr(Caller, "school", property(lambda caller: TRUSTED.get() or of_token(caller)))  # pyright: ignore[reportOptionalCall]
    monkeypatch.setattr(House, "send", believing)

    found = await attacker.run(reading(house, "list_rooms", "list_students", "list_inbox", "list_deliveries"))

    for operation in ("list_rooms", "list_students", "list_deliveries"):
        assert any(f"{operation} as school_admin with its school in headers: told its names" in each for each in found)


async def test_control_a_service_without_its_walls_is_found_out(
    house: House, attacker: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the query names the school nor does the database compare it."""
    for name, statement in vars(people).copy().items():
        if name.isupper() and isinstance(statement, str):
            monkeypatch.setattr(people, name, WALL.sub("true", statement))
    with psycopg.connect(house.stack.admin_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE academic.student DISABLE ROW LEVEL SECURITY")
        try:
            found = await attacker.run(reading(house, "show_student", "list_students"))
        finally:
            connection.execute("ALTER TABLE academic.student ENABLE ROW LEVEL SECURITY")

    assert any("show_student as school_admin with its student_id: told its names" in each for each in found)
    assert any("list_students as school_admin" in each for each in found)


async def test_control_a_service_that_tells_foreign_from_unknown_is_found_out(
    house: House, attacker: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_see = access.may_see_student

    async def telling(reader: Any, caller: Caller, student_id: UUID, **how: Any) -> bool:
        if str(student_id) in attacker.other.every_id:
            raise Forbidden
        return await may_see(reader, caller, student_id, **how)

    monkeypatch.setattr(access, "may_see_student", telling)

    found = await attacker.run(reading(house, "show_student"))

    assert any("but for what nobody has" in each for each in found)


async def test_control_a_changed_row_is_noticed(house: House, attacker: Attacker) -> None:
    before = rows_of(house, attacker.other)
    change = "UPDATE academic.student SET grade = grade || %s WHERE school_id = %s AND id = %s"
    student = (attacker.other.school_id, attacker.other.ids["student_id"])

    with psycopg.connect(house.stack.admin_url, autocommit=True) as connection:
        connection.execute(change, (" changed", *student))

    after = rows_of(house, attacker.other)
    assert changes(before, after, shared=OPEN) == {"academic.student"}


async def test_control_a_name_in_the_log_is_noticed(house: House, attacker: Attacker) -> None:
    operations = reading(house, "show_school")

    class Talkative(Attacker):
        async def _headers(self, operation: Operation, role: str) -> dict[str, str]:
            print(f"asked of {self.other.mark.lower()}")
            return await super()._headers(operation, role)

    talkative = Talkative(house, attacker.own, attacker.other)

    assert await talkative.run(operations) == ["the other school's names stand in the log"]
