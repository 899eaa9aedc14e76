"""Every POST may carry an Idempotency-Key, or says why it needs none."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest
from litestar import post

from shared.settings import load
from shared.web.access import route_handlers
from shared.web.app import litestar_of
from shared.web.idempotency import takes_key
from tools.dumps import EXAMPLE_ENV
from tools.topology import SERVICE_NAMES

LEAST_REASON = 20


def without_key(opt: Mapping[str, Any]) -> str | None:
    """What is wrong with the declaration of a POST; None when it is as it should be."""
    reason = opt.get("unkeyed")
    if takes_key(opt, "POST") or opt.get("internal"):
        return None
    if reason is None:
        return "takes no key and does not say why"
    return None if len(reason) >= LEAST_REASON else "gives no reason"


def posts(service: str) -> Iterator[Any]:
    settings = load(import_module(f"services.{service}.settings").Settings, EXAMPLE_ENV)
    app = import_module(f"services.{service}.app").create_app(settings)
    yield from (each for each in route_handlers(litestar_of(app)) if "POST" in each.http_methods)


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_every_post_takes_a_key_or_says_why_not(service: str) -> None:
    told = {each.operation_id: without_key(each.opt) for each in posts(service)}

    assert {name: fault for name, fault in told.items() if fault} == {}


def test_there_are_posts() -> None:
    assert sum(takes_key(each.opt, "POST") for service in SERVICE_NAMES for each in posts(service)) >= 15


@pytest.mark.parametrize(
    ("opt", "is_wrong"),
    [
        ({"permission": "p"}, False),
        ({"permission": "p", "unkeyed": "Its answer holds tokens."}, False),
        ({"permission": "p", "unkeyed": ""}, True),
        ({"public": True}, True),
        ({"public": True, "unkeyed": "no"}, True),
    ],
)
def test_control_a_forgotten_reason_is_seen(opt: dict[str, Any], is_wrong: bool) -> None:
    @post("/", opt=opt)
    async def handler() -> None: ...

    assert (without_key(handler.opt) is not None) is is_wrong
