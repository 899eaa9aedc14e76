"""One document of all services, and a page that needs nobody else to show it."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from gateway.docs import OneDocument, merged
from gateway.settings import Settings
from gateway.tests.conftest import SettingsOf
from gateway.tests.upstreams import Service, gateway, served
from shared.testing.tokens import Tokens
from tools.topology import SERVICE_NAMES


def a_document(path: str, schema: dict[str, Any], **others: Any) -> dict[str, Any]:
    reference = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}}}
    return {
        "paths": {path: {"get": {"operationId": "list", "responses": {"200": reference}}}},
        "components": {
            "schemas": {
                "Page": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                "Item": schema,
                "Problem": {"type": "object"},
                **others,
            },
            "securitySchemes": {"bearer": {"type": "http"}},
        },
    }


def test_components_that_differ_get_names_of_their_own_and_so_does_what_speaks_of_them() -> None:
    one = a_document("/api/v1/students", {"type": "string"})
    other = a_document("/api/v1/rooms", {"type": "integer"})

    document = merged({"academic": one, "school": other})

    schemas = document["components"]["schemas"]
    answer = document["paths"]["/api/v1/rooms"]["get"]["responses"]["200"]
    assert set(schemas) == {"Page", "Item", "Problem", "SchoolPage", "SchoolItem"}
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/SchoolPage"}
    assert schemas["SchoolPage"]["items"] == {"$ref": "#/components/schemas/SchoolItem"}
    assert schemas["Page"]["items"] == {"$ref": "#/components/schemas/Item"}


def test_components_that_are_equal_are_shared() -> None:
    one = a_document("/api/v1/students", {"type": "string"})
    other = a_document("/api/v1/rooms", {"type": "string"})

    document = merged({"academic": one, "school": other})

    assert set(document["components"]["schemas"]) == {"Page", "Item", "Problem"}


def test_every_operation_has_the_tag_of_its_service_and_an_id_of_its_own() -> None:
    documents = {
        "academic": a_document("/api/v1/students", {"type": "string"}),
        "school": a_document("/api/v1/rooms", {"type": "string"}),
    }

    document = merged(documents)

    operations = [item["get"] for item in document["paths"].values()]
    assert sorted(operation["tags"] for operation in operations) == [["academic"], ["school"]]
    assert len({operation["operationId"] for operation in operations}) == 2
    assert document["servers"] == [{"url": "/"}]


def test_a_service_cannot_declare_what_is_not_its_own() -> None:
    stranger = {"paths": {"/api/v1/students": {"get": {}}, "/internal/x": {"get": {}}, "/metrics": {"get": {}}}}

    assert merged({"school": stranger})["paths"] == {}


async def test_the_document_holds_what_can_be_reached(client: httpx.AsyncClient) -> None:
    answered = await client.get("/openapi.json")

    paths = answered.json()["paths"]
    assert answered.status_code == 200
    assert {"/api/v1/students", "/api/v1/imports", "/api/v1/inbox/stream"} <= set(paths)
    assert not any(path.startswith(("/internal", "/health", "/metrics")) for path in paths)


async def test_a_service_that_is_down_takes_no_other_out_of_the_document(
    settings_of: SettingsOf, tokens: Tokens
) -> None:
    settings = settings_of(academic_url="http://127.0.0.1:1")

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]

    assert set(paths) == {"/api/v1/inbox/stream", "/api/v1/auth/tokens", "/api/v1/auth/sign-in"}


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    files = [await client.get(path) for path in re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text)]

    policy = page.headers["content-security-policy"]
    assert page.headers["content-type"].startswith("text/html")
    assert {each.headers["content-type"].partition(";")[0] for each in files} == {"text/javascript", "text/css"}
    assert all(each.status_code == 200 for each in files)
    assert not re.search(
        r"(?:https?:)?//[a-z]", page.text + "".join(each.text for each in files if "css" in str(each.url))
    )
    assert not re.search(r"https?://", "".join(each.text for each in files))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page.text
    assert "style=" not in page.text


async def test_the_page_serves_only_its_own_files(client: httpx.AsyncClient) -> None:
    answers = [await client.get(path) for path in ("/docs/index.html", "/docs/app.py", "/docs/x/y", "/nothing")]

    assert {each.status_code for each in answers} == {404}
    assert {each.headers["content-type"] for each in answers} == {"application/problem+json"}


async def test_a_new_document_is_seen_when_the_old_one_is_no_longer_fresh(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    settings: Settings = settings_of(contract_fresh_s=0.0)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        before = await client.get("/api/v1/teachers")
        service.document["paths"]["/api/v1/teachers"] = {"get": {}}
        answers = [(await client.get("/api/v1/teachers")).status_code for _ in range(3)]

    assert before.status_code == 404
    assert answers[-1] == 200


@pytest.fixture
def merges(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Of which services documents were merged, once for each time."""
    found: list[set[str]] = []

    def counting(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        found.append(set(documents))
        return merged(documents)

    monkeypatch.setattr("gateway.docs.merged", counting)
    return found


async def test_the_document_is_merged_once_as_long_as_all_services_say_the_same(
    settings_of: SettingsOf, tokens: Tokens, merges: list[set[str]]
) -> None:
    settings: Settings = settings_of(contract_fresh_s=0.0)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        answers = [await client.get("/openapi.json") for _ in range(10)]

    assert len({each.content for each in answers}) == 1
    assert merges == [set(SERVICE_NAMES)]


async def test_control_a_service_that_says_something_new_is_merged_anew(
    settings_of: SettingsOf, tokens: Tokens, service: Service, merges: list[set[str]]
) -> None:
    settings: Settings = settings_of(contract_fresh_s=0.0)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        before = await client.get("/openapi.json")
        service.document["paths"]["/api/v1/teachers"] = {"get": {"operationId": "list_teachers"}}
        known = {"If-None-Match": before.headers["etag"]}
        answers = [await client.get("/openapi.json", headers=known) for _ in range(4)]

    assert "/api/v1/teachers" not in before.json()["paths"]
    assert answers[-1].status_code == 200
    assert "/api/v1/teachers" in answers[-1].json()["paths"]
    assert answers[-1].headers["etag"] != before.headers["etag"]
    assert len(merges) >= 2


def test_a_service_that_comes_later_joins_the_document() -> None:
    academic, school = (a_document(path, {"type": "string"}) for path in ("/api/v1/students", "/api/v1/rooms"))
    document = OneDocument()

    alone = document.answer({"academic": academic}, None)
    both = document.answer({"academic": academic, "school": school}, None)

    assert b"/api/v1/rooms" not in (alone.content or b"")
    assert b"/api/v1/rooms" in (both.content or b"")


async def test_who_has_the_document_is_told_that_it_is_the_same(client: httpx.AsyncClient) -> None:
    full = await client.get("/openapi.json")
    tag = full.headers["etag"]
    known = [await client.get("/openapi.json", headers={"If-None-Match": each}) for each in (tag, f"W/{tag}", "*")]
    unknown = await client.get("/openapi.json", headers={"If-None-Match": '"another"'})

    assert [(each.status_code, each.content, each.headers["etag"]) for each in known] == [(304, b"", tag)] * 3
    assert {each.headers["cache-control"] for each in (full, *known)} == {"no-cache"}
    assert (unknown.status_code, unknown.content) == (200, full.content)


async def test_a_stale_document_is_better_than_none(settings_of: SettingsOf, tokens: Tokens, service: Service) -> None:
    async with served(service) as own_url:
        settings: Settings = settings_of(academic_url=own_url, contract_fresh_s=0.0, breaker_failures=100)
        async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
            up = await client.get("/api/v1/students")
            service.document = {"paths": "nonsense"}
            garbled = [await client.get("/api/v1/students") for _ in range(3)]
            unknown = await client.get("/api/v1/teachers")

    assert up.status_code == 200
    assert {each.status_code for each in garbled} == {200}
    assert unknown.status_code == 404
