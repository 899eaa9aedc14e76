"""Whom a task serves, as far as reads from a replica ask for it: never somebody of an earlier request."""

import asyncio
from typing import Any

import httpx
import pytest
from litestar import Router, get, post

from shared.ids import new_id
from shared.replica import Asker, current_asker, serve
from shared.settings import ServiceSettings
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.web import build_app

Told = dict[str, Any] | None


async def told() -> Told:
    asker = current_asker()
    return {"user_id": str(asker.user_id), "only_reads": asker.only_reads} if asker else None


read = get("/read", opt={"permission": "p"})(told)
write = post("/write", opt={"permission": "p"})(told)
public = get("/public", opt={"public": True})(told)
internal = get("/internal/it", opt={"internal": True})(told)


async def test_each_request_serves_its_own_caller(stack: Stack, tokens: Tokens) -> None:
    """All of them in one task, as only a test has it."""
    app = build_app(
        "school",
        stack.settings(ServiceSettings, "school"),
        routers=[Router("/", route_handlers=[read, write, public, internal])],
        permissions={"clerk": frozenset({"p"})},
        verifier=tokens.verifier,
    )
    first, second = new_id(), new_id()

    async with client_of(app) as client:

        async def asked(method: str, path: str, headers: Any = None) -> Any:
            answer: httpx.Response = await client.request(method, path, headers=headers)
            assert answer.is_success, answer.text
            return answer.json()

        of_first = tokens.headers("clerk", school_id=new_id(), user_id=first)
        of_second = tokens.headers("clerk", school_id=new_id(), user_id=second)
        assert await asked("GET", "/read", of_first) == {"user_id": str(first), "only_reads": True}
        assert await asked("POST", "/write", of_second) == {"user_id": str(second), "only_reads": False}
        assert await asked("GET", "/public") is None
        assert await asked("GET", "/read", of_first) == {"user_id": str(first), "only_reads": True}
        assert await asked("GET", "/internal/it", tokens.service_headers("academic")) is None


@pytest.mark.parametrize("path", ["/read", "/internal/it"])
async def test_who_is_refused_is_nobody(stack: Stack, tokens: Tokens, path: str) -> None:
    seen: list[Asker | None] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        seen.append(current_asker())

    app = build_app(
        "school",
        stack.settings(ServiceSettings, "school"),
        routers=[Router("/", route_handlers=[read, internal])],
        permissions={"clerk": frozenset({"p"})},
        verifier=tokens.verifier,
    )
    serve(Asker(user_id=new_id(), only_reads=True))
    transport = httpx.ASGITransport(app=watched, raise_app_exceptions=False)
    async with client_of(app), httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        assert (await client.get(path)).status_code == 401
    assert seen == [None]
    serve(None)


async def test_a_task_that_is_started_meanwhile_serves_nobody() -> None:
    """It may fill a cache, or fetch for several: it must not miss what any of them wrote."""
    serve(Asker(user_id=new_id(), only_reads=True))
    assert current_asker() is not None

    assert await asyncio.create_task(told()) is None
    serve(None)
