"""A stop does not wait for who only listens: live streams end whole, and long before the grace is over."""

import time
from pathlib import Path

import httpx
import pytest

from shared.ids import new_id
from shared.testing.tokens import Tokens
from tests.deploy.conftest import Alone
from tests.deploy.house import Instance, keys_of

DRAIN_S = 1.0
GRACE_S = 20.0
STREAM = "/api/v1/inbox/stream"
READERS = 3


async def read(client: httpx.AsyncClient, tokens: Tokens) -> httpx.Response:
    headers = tokens.headers("guardian", school_id=new_id(), person_id=new_id())
    return await client.send(client.build_request("GET", STREAM, headers=headers), stream=True)


@pytest.mark.chaos
async def test_a_stop_ends_live_streams_whole_and_well_within_the_grace(
    alone: Alone, tokens: Tokens, tmp_path: Path
) -> None:
    async with keys_of(tokens) as keys_url:
        stopping = {"DRAIN_S": str(DRAIN_S), "STOP_GRACE_S": str(GRACE_S), "JWKS_URL": keys_url}
        instance = Instance(tmp_path, "notification", {**alone.service_env("notification"), **stopping})
        instance.start()
        url = f"http://127.0.0.1:{instance.port}"
        try:
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=GRACE_S * 2) as client:
                streams = [await read(client, tokens) for _ in range(READERS)]
                assert {stream.headers["connection"] for stream in streams} == {"close"}
                bodies = [stream.aiter_bytes() for stream in streams]
                assert {(await anext(body))[:6] for body in bodies} == {b"retry:"}

                began = time.monotonic()
                instance.process.request_stop()
                rests = [b"".join([part async for part in body]) for body in bodies]

                assert all(b"unread_count" in rest for rest in rests)
                assert instance.process.wait(GRACE_S) == 0
                assert DRAIN_S <= time.monotonic() - began < DRAIN_S + GRACE_S / 2
        finally:
            instance.process.kill()
    assert "Traceback" not in instance.process.log.read_text()
