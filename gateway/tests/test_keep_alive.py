"""How long a connection may lie idle between two requests."""

import asyncio
from urllib.parse import urlsplit

from gateway.tests.conftest import SettingsOf
from gateway.tests.upstreams import gateway
from shared.testing.tokens import Tokens


async def kept(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which one question was answered."""
    parsed = urlsplit(url)
    reader, writer = await asyncio.open_connection(parsed.hostname, parsed.port)
    await ask_for_life(reader, writer)
    return reader, writer


async def ask_for_life(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
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
