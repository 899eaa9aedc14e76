"""A session that is over has no streams either: who was thrown out does not go on reading."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis

from gateway import streams
from gateway.streams import Streams
from gateway.tests.conftest import SettingsOf
from gateway.tests.upstreams import Service, gateway
from shared.identity import Role
from shared.ids import new_id
from shared.redis_pipe import RedisPipe
from shared.testing.faults import wire_to
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens

STREAM = "/api/v1/inbox/stream"
ISSUED_AT = 1_795_000_000
GOES_ON_S = 1.0
"""So long we wait for what must not happen: many rounds of the watch."""


@pytest.fixture(autouse=True)
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ASKED_EVERY_S", 0.05)


class News:
    """What is told to all who look on."""

    def __init__(self) -> None:
        self._readers: list[asyncio.Queue[bytes]] = []

    async def stream(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        told: asyncio.Queue[bytes] = asyncio.Queue()
        self._readers.append(told)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: begun\n\n", "more_body": True})
        while part := await told.get():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def tell(self, part: bytes) -> None:
        for each in self._readers:
            each.put_nowait(part)


@pytest.fixture
async def news(service: Service) -> AsyncGenerator[News]:
    news = News()
    service.handler = news.stream
    yield news
    news.tell(b"")


class Phone:
    """One session, with its stream open."""

    def __init__(self, client: httpx.AsyncClient, tokens: Tokens) -> None:
        self.session_id, self.user_id = new_id(), new_id()
        self._client = client
        self._headers = tokens.headers(
            Role.GUARDIAN, school_id=new_id(), user_id=self.user_id, sid=str(self.session_id), iat=ISSUED_AT
        )
        self._parts: AsyncIterator[bytes]

    async def look(self) -> None:
        request = self._client.build_request("GET", STREAM, headers=self._headers)
        self._parts = (await self._client.send(request, stream=True)).aiter_raw()
        assert await self.reads() == b"data: begun\n\n"

    async def reads(self, within_s: float = 30) -> bytes:
        """What comes next; nothing at the end of the stream, which is one in order: anything else would raise."""
        async with asyncio.timeout(within_s):
            return await anext(self._parts, b"")

    async def comes_again(self) -> int:
        return (await self._client.get(STREAM, headers=self._headers)).status_code


@asynccontextmanager
async def phones(
    settings_of: SettingsOf, tokens: Tokens, number: int, **overrides: object
) -> AsyncGenerator[list[Phone]]:
    async with (
        gateway(settings_of(**overrides), tokens.verifier) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
    ):
        made = [Phone(client, tokens) for _ in range(number)]
        for each in made:
            await each.look()
        yield made


async def goes_on(phone: Phone, news: News) -> bool:
    await asyncio.sleep(GOES_ON_S)
    news.tell(b"data: absent\n\n")
    return await phone.reads() == b"data: absent\n\n"


async def end(redis: Redis, session_id: UUID) -> None:
    """As `auth` tells of it."""
    await redis.set(f"revoked:session:{session_id}", "1", ex=600)


async def test_a_session_that_ends_takes_its_streams_along(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis, news: News
) -> None:
    async with phones(settings_of, tokens, 2) as (stolen, other):
        await end(clean_redis, stolen.session_id)

        assert await stolen.reads() == b""
        assert await stolen.comes_again() == 401
        assert await goes_on(other, news)


async def test_control_a_stream_that_nobody_asks_about_outlives_its_session(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis, news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ASKED_EVERY_S", 3600)
    async with phones(settings_of, tokens, 1) as (stolen,):
        await end(clean_redis, stolen.session_id)

        assert await stolen.comes_again() == 401
        assert await goes_on(stolen, news)


@pytest.mark.parametrize("value", [str(ISSUED_AT), "no instant"])
async def test_a_user_who_is_thrown_out_loses_streams_of_older_tokens(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis, news: News, value: str
) -> None:
    async with phones(settings_of, tokens, 2) as (gone, newer):
        await clean_redis.set(f"revoked:user:{newer.user_id}", str(ISSUED_AT - 1))
        await clean_redis.set(f"revoked:user:{gone.user_id}", value)

        assert await gone.reads() == b""
        assert await gone.comes_again() == 401
        assert await goes_on(newer, news)


async def test_of_many_streams_each_is_asked_about(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis, news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "ASKED_AT_ONCE", 2)
    async with phones(settings_of, tokens, 7) as looking:
        for each in looking[::2]:
            await end(clean_redis, each.session_id)

        assert [await each.reads() for each in looking[::2]] == [b""] * 4
        assert await goes_on(looking[1], news)
        assert [await each.reads() for each in looking[3::2]] == [b"data: absent\n\n"] * 2


async def test_streams_go_on_while_redis_is_away_and_end_once_it_is_back(
    stack: Stack, settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis, news: News
) -> None:
    async with wire_to(httpx.URL(stack.redis_url).port or 0) as wire:
        there = str(httpx.URL(stack.redis_url).copy_with(port=wire.port))
        async with phones(settings_of, tokens, 1, redis_url=there) as (stolen,):
            wire.is_cut = True
            wire.cut()
            await end(clean_redis, stolen.session_id)
            assert await goes_on(stolen, news)

            wire.is_cut = False
            assert await stolen.reads() == b""


async def test_one_task_asks_for_all_and_ends_with_the_gateway(stack: Stack) -> None:
    pipe, before = RedisPipe(stack.redis_url, timeout_s=30), asyncio.all_tasks()

    async with Streams(limit=1, per_reader=1).ended_with_sessions(pipe):
        asking = asyncio.all_tasks() - before

    assert [each.cancelled() for each in asking] == [True]
