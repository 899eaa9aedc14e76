"""Broken on purpose: a gateway whose limiter asks first and counts afterwards.

`python -m tests.deploy.broken_gateway`
"""

import runpy
import time

from gateway.limits import Limiter


async def ask_then_count(self: Limiter, keys: list[str], arguments: list[int]) -> list[int]:
    """GCRA as in the script, of the first quota, over two questions."""
    requests, window_us = arguments[1:3]
    now_us, step_us = time.time_ns() // 1000, window_us // requests
    arrival_us = max(int(await self._redis.execute("GET", keys[2]) or 0), now_us) + step_us
    excess_us = arrival_us - now_us - step_us * requests
    if excess_us > 0:
        return [0, 1, 0, window_us, excess_us]
    await self._redis.execute("SET", keys[2], arrival_us)
    return [1, 1, -excess_us // step_us, arrival_us - now_us, 0]


if __name__ == "__main__":
    Limiter._run = ask_then_count
    runpy.run_module("gateway", run_name="__main__")
