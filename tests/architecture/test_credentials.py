"""What one asks in order to get a token has a quota for a whole school at the gateway: its service counts by itself."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from litestar import post

from gateway.routes import API, Operations
from services.auth.throttle import TooManyAttempts
from shared.settings import load
from shared.web.access import route_handlers
from shared.web.app import litestar_of
from tools.dumps import EXAMPLE_ENV
from tools.topology import SERVICE_NAMES

ROOT: Final = Path(__file__).parents[2]
UNCOUNTED: Final = {
    "refresh_session": "Nobody guesses a token of 256 bits, and an old one ends its session (ADR 0401)."
}


def document_of(service: str) -> dict[str, Any]:
    return msgspec.json.decode((ROOT / "services" / service / "openapi.json").read_bytes())


def asked(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and operation of all that can be asked from outside."""
    for path, item in document["paths"].items():
        if path.startswith(API):
            yield from ((method.upper(), path, operation) for method, operation in item.items())


def open_to_all(document: Mapping[str, Any]) -> set[str]:
    return {each["operationId"] for method, _, each in asked(document) if method != "GET" and "security" not in each}


def counted_apart(document: Mapping[str, Any]) -> set[str]:
    """As the gateway reads it."""
    operations = Operations(document)
    return {each["operationId"] for method, path, each in asked(document) if operations.takes_credentials(method, path)}


def handlers(service: str) -> Iterator[Any]:
    settings = load(import_module(f"services.{service}.settings").Settings, EXAMPLE_ENV)
    yield from route_handlers(litestar_of(import_module(f"services.{service}.app").create_app(settings)))


def counted_by_nobody(found: Iterable[Any], apart: set[str]) -> set[str]:
    return {
        each.operation_id
        for each in found
        if each.operation_id in apart - UNCOUNTED.keys() and TooManyAttempts not in each.opt.get("problems", ())
    }


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_what_anybody_may_do_is_counted_apart_and_nothing_else_is(service: str) -> None:
    document = document_of(service)

    assert counted_apart(document) == open_to_all(document), 'declare `"credentials": True` beside `"public": True`'


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_what_is_counted_apart_is_counted_by_its_service(service: str) -> None:
    assert counted_by_nobody(handlers(service), counted_apart(document_of(service))) == set()


def test_there_is_something_to_count() -> None:
    assert {"sign_in", "refresh_session", "accept_invite"} <= counted_apart(document_of("auth"))


def test_control_an_operation_that_forgets_either_is_seen() -> None:
    @post("/", operation_id="sign_in", opt={"public": True, "credentials": True})
    async def uncounted() -> None: ...

    forgetful = {"paths": {"/api/v1/auth/sign-in": {"post": {"operationId": "sign_in"}}}}

    assert (counted_apart(forgetful), open_to_all(forgetful)) == (set(), {"sign_in"})
    assert counted_by_nobody([uncounted], {"sign_in"}) == {"sign_in"}
