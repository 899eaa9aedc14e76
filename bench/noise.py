"""`python -m bench.noise URL`: ask as fast as answers come, with the tokens that the first line of its input tells.

A process of its own, so that those who are measured wait for the house and not for whoever makes the noise. It ends
with its input, and then tells how it was answered.
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from bench.client import Failed, FrontEnd
from bench.measures import Percentiles, Times
from bench.readers import ASKED
from shared.http_pool import Pool, PoolLimits, UpstreamError
from tools.embedded.processes import PartFailed

READY: Final = b"ready\n"
ADDRESS: Final = "10.7.7.7"
"""Of all of them: a school behind one address."""


class Noise:
    calls: Percentiles | None = None
    """Once it is over."""


@asynccontextmanager
async def noise(gateway_url: str, tokens: Sequence[str]) -> AsyncGenerator[Noise]:
    """The bearer of each token asks without a pause meanwhile. Raises PartFailed when that ended before its time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, gateway_url), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    made = Noise()
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(msgspec.json.encode(tokens) + b"\n")
        if await process.stdout.readline() != READY:
            raise PartFailed("Whoever was to make the noise did not begin.")
        yield made
        if process.returncode is not None:
            raise PartFailed("Whoever made the noise ended before their time.")
        process.stdin.close()
        made.calls = msgspec.json.decode(await process.stdout.read(), type=Percentiles)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def main(gateway_url: str, tokens: Sequence[str]) -> None:
    pool, times = Pool(gateway_url, PoolLimits(connections=len(tokens), connect_s=30)), Times()
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    asking = [asyncio.create_task(_ask(pool, times, token)) for token in tokens]
    await asyncio.to_thread(sys.stdin.buffer.read)
    for each in asking:
        each.cancel()
    sys.stdout.buffer.write(msgspec.json.encode(times.of_all()))


async def _ask(pool: Pool, times: Times, token: str) -> None:
    front_end = FrontEnd(pool, pool, times, ADDRESS)
    front_end.carry(token)
    for path in itertools.cycle(ASKED):
        with suppress(Failed, UpstreamError):
            await front_end.get(path, path)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], msgspec.json.decode(sys.stdin.buffer.readline(), type=list[str])))
