import asyncio
from contextlib import suppress

import pytest

from shared.cancellation import stop_if_cancelled


async def swallowing() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def test_a_loop_whose_cancellation_was_swallowed_ends_all_the_same() -> None:
    async def loop() -> None:
        while True:
            stop_if_cancelled()
            await swallowing()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)


async def test_who_was_not_asked_to_stop_goes_on() -> None:
    stop_if_cancelled()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    stop_if_cancelled()
