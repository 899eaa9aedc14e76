"""Bar B15: whatever a client sends, a service answers with what it declares, and never with a 5xx."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody

from shared.identity import Role
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.web import openapi_document
from shared.web.app import litestar_of
from tests.contracts.explorer import Explorer
from tests.contracts.hostile import JSON, Hostile, faults, honest_request, sent, spoilt
from tests.operations import Operation
from tests.whole_house import FilledSchool, House, open_house
from tools.topology import SERVICE_NAMES

Who = Mapping[str, str]


@pytest.fixture(scope="module")
async def house(stack: Stack, tokens: Tokens) -> AsyncGenerator[House]:
    async with open_house(stack, tokens) as house:
        yield house


@pytest.fixture(scope="module")
async def school(house: House) -> FilledSchool:
    await FilledSchool(house, "QNEIGHB").fill()
    return await FilledSchool(house, "QSTURDY").fill()


async def callers(operation: Operation, school: FilledSchool) -> list[tuple[str, Who]]:
    """Everybody who may call: one of each role, a service, or anybody."""
    match operation.access:
        case "public":
            return [("anybody", {})]
        case "internal":
            service = INTERNAL_CALLERS[operation.service]
            return [(service, school.house.tokens.service_headers(service))]
        case _:
            return [(role, await school.signed_in(operation.service, role)) for role in sorted(operation.roles)]


INTERNAL_CALLERS = {"school": "academic", "academic": "school", "communication": "school", "notification": "school"}
"""Imports call `school`; its read models are made anew of what the others have."""
MAY_DO_MOST = (Role.SCHOOL_ADMIN, Role.PLATFORM_ADMIN, Role.GUARDIAN, Role.TEACHER)


class Attack:
    """The corpus against one operation, by a caller who may do the most."""

    def __init__(self, school: FilledSchool, operation: Operation) -> None:
        self.operation = operation
        self._school = school
        self._client = school.house.services[operation.service].client
        self._version = 1

    async def run(self) -> Counter[str]:
        """Every fault that was found, by request."""
        headers = await self._caller()
        cursor = await self._cursor(headers)
        answers: Counter[str] = Counter()
        for number, hostile in enumerate(spoilt(self.operation, self._school.values(), cursor)):
            answer = await self._sent(hostile, headers, tries=9 if number == 0 else 1)
            answers.update(f"{hostile.told}: {fault}" for fault in faults(answer))
        return answers

    async def _sent(self, hostile: Hostile, headers: Who, *, tries: int) -> httpx.Response:
        """With the version that the record has by now; at first it is guessed."""
        answer = await sent(self._client, hostile, headers, version=self._version)
        while answer.status_code in {409, 412} and tries > 1:
            self._version, tries = self._version + 1, tries - 1
            answer = await sent(self._client, hostile, headers, version=self._version)
        told = answer.json() if answer.is_success and b'"version"' in answer.content else None
        self._version = told.get("version", self._version) if isinstance(told, dict) else self._version
        return answer

    async def _caller(self) -> Who:
        found = dict(await callers(self.operation, self._school))
        role = next((role for role in MAY_DO_MOST if role in found), next(iter(found)))
        return found[role]

    async def _cursor(self, headers: Who) -> str:
        """Out of the `next` link of a first page with one item."""
        parameters = self.operation.parameters_in("query")
        if not any(each.name == "cursor" for each in parameters):
            return ""
        good = honest_request(self.operation, self._school.values())
        answer = await self._client.get(
            self.operation.url(good.path), params={**good.query, "limit": 1}, headers={**headers}
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["next"], (
            f"{self.operation} needs a second page: FilledSchool (tests/whole_house.py) makes two"
        )
        return parse_qs(urlsplit(answer.json()["next"]).query)["cursor"][0]


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_no_hostile_request_is_answered_with_a_5xx(house: House, school: FilledSchool, service: str) -> None:
    told: Counter[str] = Counter()
    # What takes something away comes last: of a school's rotation there is one.
    for operation in sorted(house.services[service].operations, key=lambda each: each.method == "DELETE"):
        told += await Attack(school, operation).run()

    assert not told, told.most_common(20)


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_every_answer_is_one_that_is_declared(house: House, school: FilledSchool, service: str) -> None:
    part = house.services[service]
    explorer, told = Explorer(openapi_document(litestar_of(part.app)), part.client), list[str]()
    for operation in part.operations:
        path = honest_request(operation, school.values()).path
        for role, headers in await callers(operation, school):
            sent_count, faults_found = await explorer.explore(operation.operation_id, path=path, headers=headers)
            told += [f"as {role}: {fault}" for fault in faults_found]
            assert sent_count

    assert not told, "\n\n".join(told[:10])


async def test_control_a_stock_application_is_found_out() -> None:
    class Body(msgspec.Struct):
        name: str

    @post("/")
    async def take(data: JSONBody[Body]) -> str:
        return data.name

    transport = httpx.ASGITransport(app=Litestar([take], logging_config=None), raise_app_exceptions=False)  # pyright: ignore[reportArgumentType]
    told: Counter[str] = Counter()
    async with httpx.AsyncClient(transport=transport, base_url="http://stock.test") as client:
        for content in (b'{"a":' * 100_000, b"{"):
            hostile = Hostile(told="spoilt", method="POST", url="/", headers=JSON, content=content)
            told.update(faults(await sent(client, hostile, {})))

    assert told["answers 500"], told
    assert any(fault.startswith("400 as ") for fault in told), told
