"""Event streams go on for hours: many of them leave room for whoever asks something short."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.settings import Settings
from gateway.streams import OPEN_STREAMS
from gateway.tests.upstreams import OPERATION, Service, gateway
from shared.http_pool import Answer
from shared.identity import Role
from shared.ids import new_id
from shared.testing.tokens import Tokens

SettingsOf = Callable[..., Settings]
STREAM, INBOX = "/api/v1/inbox/stream", "/api/v1/inbox"
CONNECTIONS = 2


@pytest.fixture(autouse=True)
def streaming(service: Service) -> Service:
    """One stream without an end, and a short question to the same service."""

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] != STREAM:
            await service.echo(scope, receive, send)
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await service.wait_for_abort(scope, receive, send)

    service.document["paths"][INBOX] = {"get": {**OPERATION, "operationId": "list_inbox"}}
    service.handler = answer
    return service


@pytest.fixture
def readers(settings_of: SettingsOf, tokens: Tokens) -> "Readers":
    return Readers(settings_of, tokens)


class Readers:
    """Who looks at streams through a gateway that has few connections to each service."""

    def __init__(self, settings_of: SettingsOf, tokens: Tokens) -> None:
        self._settings_of, self._tokens = settings_of, tokens
        self._read: list[AsyncIterator[bytes]] = []

    @asynccontextmanager
    async def at(self, **overrides: object) -> AsyncGenerator["Readers"]:
        settings = self._settings_of(upstream_connections=CONNECTIONS, upstream_wait_s=0.2, **overrides)
        async with (
            gateway(settings, self._tokens.verifier) as url,
            httpx.AsyncClient(base_url=url, trust_env=False) as self.client,
            AsyncExitStack() as self._opened,
        ):
            yield self

    def somebody(self) -> dict[str, str]:
        return self._tokens.headers(Role.GUARDIAN, user_id=new_id())

    async def open(self, headers: dict[str, str] | None = None) -> httpx.Response:
        """Whose stream has begun, or the refusal."""
        answered = await self._opened.enter_async_context(
            self.client.stream("GET", STREAM, headers=headers or self.somebody())
        )
        if answered.is_success:
            parts = answered.aiter_raw()
            self._read.append(parts)  # who forgets it hangs up
            assert await anext(parts) == b"data: 1\n\n"
        else:
            await answered.aread()
        return answered

    async def ask(self) -> int:
        return (await self.client.get(INBOX, headers=self.somebody())).status_code


async def streams_and_a_question(readers: Readers) -> list[int]:
    async with readers.at():
        opened = [(await readers.open()).status_code for _ in range(CONNECTIONS * 5)]
        return [*opened, await readers.ask()]


async def test_many_streams_leave_room_for_who_asks(readers: Readers) -> None:
    assert await streams_and_a_question(readers) == [200] * (CONNECTIONS * 5 + 1)


async def test_control_streams_that_keep_their_places_keep_others_out(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answer, "leave_place", lambda _: None)

    assert 503 in await streams_and_a_question(readers)


async def test_one_person_has_a_few_streams_and_others_have_theirs(readers: Readers) -> None:
    async with readers.at(streams_per_reader=2):
        mine = readers.somebody()
        answers = [await readers.open(mine) for _ in range(3)]
        other = await readers.open()

        assert [each.status_code for each in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        assert answers[2].json()["detail"] == "2 streams at once are allowed. Close one."
        assert other.status_code == 200


async def test_a_gateway_that_is_full_of_streams_answers_questions(readers: Readers) -> None:
    async with readers.at(streams=2):
        answers = [await readers.open() for _ in range(3)]

        assert [each.status_code for each in answers] == [200, 200, 503]
        assert int(answers[2].headers["retry-after"]) > 0
        assert await readers.ask() == 200


async def test_what_is_refused_is_ended_upstream_too(readers: Readers, service: Service) -> None:
    async with readers.at(streams=0):
        assert (await readers.open()).status_code == 503

        await service.aborted.wait()
        assert [await readers.ask() for _ in range(CONNECTIONS + 1)] == [200] * (CONNECTIONS + 1)


async def test_who_leaves_makes_room(readers: Readers, service: Service) -> None:
    async with readers.at(streams_per_reader=1):
        mine, before = readers.somebody(), OPEN_STREAMS._value.get()
        first = await readers.open(mine)
        assert OPEN_STREAMS._value.get() == before + 1
        assert (await readers.open(mine)).status_code == 429
        await service.aborted.wait()
        service.aborted.clear()

        await first.aclose()
        await service.aborted.wait()

        assert (await readers.open(mine)).status_code == 200
        assert OPEN_STREAMS._value.get() == before + 1
