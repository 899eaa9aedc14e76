"""Asking another service: with a token, renewed in time, and with one kind of failure."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import pytest

from shared.clients import InternalClient
from shared.problems import Unavailable


class Answer(msgspec.Struct):
    name: str


class Upstream:
    """Plays `auth` and the other service at once, over real connections."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.expires_in = 600
        self.status = 200
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [
                    line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length")
                ]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                writer.write(self.answer(head))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, head: str) -> bytes:
        path = head.split()[1]
        token = next((line for line in head.splitlines() if line.lower().startswith("authorization")), "")
        self.asked.append((path, token.partition("Bearer ")[2]))
        status = 200
        if path == "/internal/service-tokens":
            body = msgspec.json.encode({"access_token": f"t{len(self.asked)}", "expires_in": self.expires_in})
        else:
            body, status = b'{"name": "x"}', self.status
        return f"HTTP/1.1 {status} OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
async def upstream() -> AsyncGenerator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield upstream
    server.close()


@pytest.fixture
async def client(upstream: Upstream) -> AsyncGenerator[InternalClient]:
    async with InternalClient("academic", secret="s", auth_url=upstream.url, timeout_s=5) as client:
        yield client


async def test_one_token_serves_many_questions(upstream: Upstream, client: InternalClient) -> None:
    for _ in range(3):
        assert await client.get(f"{upstream.url}/internal/x", Answer) == Answer("x")

    assert [path for path, _ in upstream.asked].count("/internal/service-tokens") == 1
    assert {token for path, token in upstream.asked if path == "/internal/x"} == {"t1"}


async def test_a_token_is_renewed_before_it_ends(upstream: Upstream, client: InternalClient) -> None:
    upstream.expires_in = 30
    for _ in range(2):
        await client.put(f"{upstream.url}/internal/x", Answer("y"), Answer)

    assert [path for path, _ in upstream.asked].count("/internal/service-tokens") == 2


@pytest.mark.parametrize("status", [401, 422, 500])
async def test_a_refusal_is_unavailable(upstream: Upstream, client: InternalClient, status: int) -> None:
    upstream.status = status

    with pytest.raises(Unavailable):
        await client.get(f"{upstream.url}/internal/x", Answer)


async def test_nobody_there_is_unavailable() -> None:
    async with InternalClient("academic", secret="s", auth_url="http://127.0.0.1:1", timeout_s=1) as client:
        with pytest.raises(Unavailable):
            await client.get("http://127.0.0.1:1/internal/x", Answer)
