"""How long a connection may lie idle between two requests."""

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.listener import PatientProtocol
from gateway.tests.conftest import SettingsOf
from gateway.tests.upstreams import Service, gateway
from shared.testing.tokens import Tokens

GET = b"GET /api/v1/students HTTP/1.1\r\nHost: a\r\n\r\n"
REFUSED = b"POST /api/v1/nothing HTTP/1.1\r\nHost: a\r\n"
HALF_A_HEAD = b"GET /health/live HTTP/1.1\r\nX-Slow: "
"""Whatever is added to it, it remains one."""
FOR_EVER = 3.0
"""So long a connection lives that should have lived for one second."""


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parsed = urlsplit(url)
    return await asyncio.open_connection(parsed.hostname, parsed.port)


async def kept(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which one question was answered."""
    reader, writer = await connected(url)
    await ask_for_life(reader, writer)
    return reader, writer


async def ask_for_life(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    await answered(reader)


async def answered(reader: asyncio.StreamReader, status: bytes = b"200") -> None:
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 " + status)
        await reader.readuntil(b"}")


async def test_an_idle_connection_lives_as_long_as_told(settings_of: SettingsOf, tokens: Tokens) -> None:
    """One that is told to live long outlives one that is told later to live short."""
    async with (
        gateway(settings_of(keep_alive_s=60), tokens.verifier) as long,
        gateway(settings_of(keep_alive_s=1), tokens.verifier) as short,
    ):
        reader, writer = await kept(long)
        brief, closed = await kept(short)
        async with asyncio.timeout(30):
            assert await brief.read() == b""
        await ask_for_life(reader, writer)
        for each in (writer, closed):
            each.close()


HELD = {
    "empty lines": (b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", b"200", b"\r\n"),
    "the rest of a body": (REFUSED + b"Content-Length: 100000\r\n\r\n", b"404", b"x"),
    "the rest of a body in chunks": (REFUSED + b"Transfer-Encoding: chunked\r\n\r\n", b"404", b"1\r\nx\r\n"),
    "half a head": (b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n" + HALF_A_HEAD, b"200", b"x"),
}


async def is_closed(url: str, name: str, *, within_s: float, times: int) -> bool:
    """Whether a connection ends, on which something comes now and then that is no request."""
    question, status, drop = HELD[name]
    reader, writer = await connected(url)
    writer.write(question)
    await answered(reader, status)
    dripping = asyncio.create_task(drip(writer, drop, times))
    try:
        async with asyncio.timeout(within_s):
            with suppress(ConnectionResetError):
                await reader.read()
            return True
    except TimeoutError:
        return False
    finally:
        dripping.cancel()
        writer.close()


async def drip(writer: asyncio.StreamWriter, drop: bytes, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0.1)
        writer.write(drop)


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "again and again"])
@pytest.mark.parametrize("name", HELD)
async def test_what_begins_no_request_does_not_hold_a_connection(
    settings_of: SettingsOf, tokens: Tokens, name: str, times: int
) -> None:
    async with gateway(settings_of(keep_alive_s=1, head_s=1.0), tokens.verifier) as url:
        assert await is_closed(url, name, within_s=30, times=times)


@pytest.mark.parametrize("name", [name for name in HELD if name != "half a head"])
async def test_control_uvicorn_alone_is_held_by_a_single_byte(
    settings_of: SettingsOf, tokens: Tokens, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(PatientProtocol, "data_received", HttpToolsProtocol.data_received)

    async with gateway(settings_of(keep_alive_s=1, head_s=1.0), tokens.verifier) as url:
        assert not await is_closed(url, name, within_s=FOR_EVER, times=1)


async def test_a_body_that_was_answered_unread_may_still_end(settings_of: SettingsOf, tokens: Tokens) -> None:
    """Who is sending sees the answer, and asks on."""
    async with gateway(settings_of(keep_alive_s=60), tokens.verifier) as url:
        reader, writer = await connected(url)
        writer.write(REFUSED + b"Content-Length: 300000\r\n\r\n" + b"x" * 100_000)
        await answered(reader, b"404")
        writer.write(b"x" * 200_000 + b"\r\n")
        await ask_for_life(reader, writer)
        writer.close()


async def test_a_request_that_began_before_an_answer_has_its_own_time(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    """The time to lie idle neither cuts the rest of its head nor its answer."""
    asked, answers = asyncio.Event(), asyncio.Event()

    async def slowly(scope: dict[str, Any], receive: Any, send: Any) -> None:
        asked.set()
        await answers.wait()
        await service.echo(scope, receive, send)

    service.handler = slowly
    async with gateway(settings_of(keep_alive_s=1), tokens.verifier) as url, asyncio.timeout(50):
        reader, writer = await connected(url)
        writer.write(GET + GET[:20])
        for pause_s in (0, 1.5):
            await asked.wait()
            await asyncio.sleep(pause_s)
            answers.set()
            await answered(reader)
            asked.clear()
            answers.clear()
            await asyncio.sleep(1.5)
            writer.write(GET[20:] + GET[:20])
        writer.close()
