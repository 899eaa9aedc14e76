"""The noise goes on for as long as it is to be made, and tells how it was answered."""

import asyncio
import sys
from typing import Any

import pytest

from bench.disturbances import NOISY
from bench.noise import noise
from gateway.tests.upstreams import Service, answer, served
from tools.embedded.processes import PartFailed


async def test_all_ask_without_a_pause_until_it_is_over() -> None:
    service = Service()
    tokens = [f"token-{number}" for number in range(NOISY)]
    async with served(service) as url:
        async with noise(url, tokens) as made, asyncio.timeout(60):
            assert made.calls is None
            while len(service.asked) < 10 * NOISY:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # the last of them may be on the way
        asked = len(service.asked)
        await asyncio.sleep(0.2)

        assert len(service.asked) == asked
    assert made.calls is not None
    assert asked - NOISY <= made.calls.count <= asked
    assert made.calls.failed == 0
    asking = {(each["fields"][b"authorization"], each["fields"][b"x-forwarded-for"]) for each in service.asked}
    assert asking == {(f"Bearer {token}".encode(), b"10.7.7.7") for token in tokens}


async def test_refusals_are_counted_and_asked_again() -> None:
    service = Service()
    service.handler = refuse
    async with served(service) as url, noise(url, ["token"]) as made, asyncio.timeout(60):
        while len(service.asked) < 10:
            await asyncio.sleep(0.01)

    assert made.calls is not None
    assert made.calls.failed == made.calls.count >= 9


async def test_who_does_not_begin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(PartFailed, match="did not begin"):
        async with noise("http://127.0.0.1:9", ["token"]):
            pytest.fail("there is nobody who makes it")


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await answer(send, b"{}", status=429)
