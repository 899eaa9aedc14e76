"""A sign-in that is told to come again does, and is seen to have been told."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from bench.calls import COME_AGAIN, SIGN_IN
from bench.client import Failed, FrontEnd
from bench.measures import Times
from shared.http_pool import Pool

BUSY = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}"
BUSY_FOR_EVER = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
TOKEN = '{"access_token": "token"}'
WELCOME = f"HTTP/1.1 200 OK\r\nContent-Length: {len(TOKEN)}\r\n\r\n{TOKEN}"


@asynccontextmanager
async def gateway(times: Times, *answers: str) -> AsyncGenerator[FrontEnd]:
    """A front end before somebody who gives these answers, one after the other."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left and await reader.readuntil(b"}"):
            writer.write(left.pop(0).encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        yield FrontEnd(pool, pool, times, "10.0.0.1")
        pool.close()


async def test_who_is_told_when_to_come_again_comes_in() -> None:
    times = Times()
    async with gateway(times, BUSY, BUSY, WELCOME) as front_end:
        await front_end.sign_in("somebody@school.test", "password")

    found = times.percentiles()
    assert (found[COME_AGAIN].count, found[COME_AGAIN].failed) == (2, 0)
    assert (found[SIGN_IN].count, found[SIGN_IN].failed) == (1, 0)


@pytest.mark.parametrize(("answers", "told"), [([BUSY_FOR_EVER], 0), ([BUSY] * 5, 4)])
async def test_who_never_comes_in_has_failed(answers: list[str], told: int) -> None:
    times = Times()
    async with gateway(times, *answers) as front_end:
        with pytest.raises(Failed, match="503"):
            await front_end.sign_in("somebody@school.test", "password")

    found = times.percentiles()
    assert (found[SIGN_IN].count, found[SIGN_IN].failed) == (1, 1)
    assert (found[COME_AGAIN].count if COME_AGAIN in found else 0) == told
