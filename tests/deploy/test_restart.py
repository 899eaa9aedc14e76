"""Bar B22: every process of every service and every gateway is restarted under load; nothing fails, nothing is lost.

The bar says ten times at 200 requests a second. That takes eight minutes on two cores, so each run plays one round,
and RESTART_ROUNDS=10 the bar. `PER_SECOND` is asked for; next to thirteen Python processes, some of them just
starting, two busy cores gave 50 to 123, and `AT_LEAST_PER_SECOND` is demanded. docs/deployment.md tells what ten rounds
gave.
"""

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import Final

import psycopg
import pytest

from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.chaos.harness import TRANSPORTS, quiet
from tests.deploy.conftest import Alone, alone_on
from tests.deploy.edge import GatewayProcess, readiness
from tests.deploy.house import Address, House, Instance, running_house
from tests.deploy.roll_out_load import READS, Load
from tools.topology import SERVICE_NAMES

ROUNDS: Final = int(os.environ.get("RESTART_ROUNDS", "1"))
"""How often each process is restarted."""
PER_SECOND: Final = 200.0
AT_LEAST_PER_SECOND: Final = 10.0
"""So that every process has some under way when it is told to stop."""
DRAIN_S: Final = 4.0
"""As in production: longer than any connection is kept idle, here and in nginx."""
GRACE_S: Final = 20.0
CONSUMERS: Final = {
    "communication": "SELECT student_id::text FROM communication.student WHERE school_id = %s",
    "notification": "SELECT student_id::text FROM notification.student WHERE school_id = %s",
    "school": "SELECT student_id::text FROM school.today_student WHERE school_id = %s",
}
"""Who is told of each student, and what they have kept of it."""
LOST_AFTER_S: Final = 30.0

Pod = Instance | GatewayProcess


@pytest.fixture
def alone(stack: Stack, tmp_path: Path) -> Generator[Alone]:
    """On RabbitMQ, as in production, where it is installed."""
    yield from alone_on(TRANSPORTS[-1], stack, tmp_path)


@pytest.fixture
async def house(alone: Alone, tokens: Tokens, tmp_path: Path) -> AsyncGenerator[House]:
    async with running_house(alone, tokens, tmp_path, DRAIN_S=str(DRAIN_S), STOP_GRACE_S=str(GRACE_S)) as house:
        yield house


@pytest.fixture
async def hasty_house(alone: Alone, tokens: Tokens, tmp_path: Path) -> AsyncGenerator[House]:
    """The control: who is asked to stop does so at once."""
    async with running_house(alone, tokens, tmp_path, DRAIN_S="0", STOP_GRACE_S=str(GRACE_S)) as house:
        yield house


async def end(pod: Pod) -> list[int | None]:
    """Ask it to stop, and wait until it has; what it said meanwhile of its readiness, repetitions left out."""
    pod.process.ensure_running()
    began, told = time.monotonic(), list[int | None]()
    pod.process.request_stop()
    while (code := pod.process.wait(0)) is None:
        assert time.monotonic() - began < DRAIN_S + GRACE_S, f"{pod.process.name} outlives its grace"
        told.append(await asyncio.to_thread(readiness, pod.port))
        await asyncio.sleep(0.1)
    assert code == 0, f"{pod.process.name} ended with {code}"
    return [status for status, _ in itertools.groupby(told)]


async def begin(pod: Pod) -> None:
    await asyncio.to_thread(pod.begin)
    while await asyncio.to_thread(readiness, pod.port) != 200:
        pod.process.ensure_running()
        await asyncio.sleep(0.1)


async def roll(pods: Sequence[Pod], rounds: int, address: Address | None = None) -> int:
    """Restart one after the other, so often; how often in all."""
    restarts = 0
    for pod in [*pods] * rounds:
        told = await end(pod)
        # It may be asked once before the signal reaches it, and once after it has closed.
        assert told in ([503], [200, 503], [503, None], [200, 503, None]), f"{pod.process.name} told {told}"
        await begin(pod)
        if address and isinstance(pod, Instance):
            await address.leads_to(pod)
        restarts += 1
    return restarts


def kept(house: House, load: Load) -> dict[str, set[str]]:
    """The students that each consumer has heard of."""
    with psycopg.connect(house.stack.admin_url, autocommit=True) as connection:
        return {
            name: {row[0] for row in connection.execute(statement, (load.school_id,))}
            for name, statement in CONSUMERS.items()
        }


async def lost(house: House, load: Load, *, after_s: float = LOST_AFTER_S) -> dict[str, set[str]]:
    """Of whom a consumer hears nothing, though nothing else is heard any more; or hears, though nobody was added."""

    def is_complete() -> bool:
        return all(heard == load.students for heard in kept(house, load).values())

    await quiet(is_complete, lambda: kept(house, load), quiet_s=after_s)
    return {name: heard ^ load.students for name, heard in kept(house, load).items() if heard != load.students}


def test_the_load_asks_every_service() -> None:
    assert READS.keys() == set(SERVICE_NAMES), "say in READS of tests/deploy/roll_out_load.py what to ask"


@pytest.mark.chaos
@pytest.mark.timeout(300 + 90 * ROUNDS)
async def test_a_roll_out_fails_no_request_and_loses_no_message(house: House, tokens: Tokens) -> None:
    load = Load(house.nginx.url, tokens, per_second=PER_SECOND)
    await load.once()
    assert load.failures == Counter(), "at rest"

    async with load.running():
        restarts = await asyncio.gather(
            *(roll(pair, ROUNDS, house.addresses[name]) for name, pair in house.instances.items()),
            roll(house.gateways, ROUNDS),
        )

    told = (
        f"{sum(restarts)} restarts in {load.seconds:.0f} s, {load.succeeded} requests, {load.per_second:.0f} a second"
    )
    print(told, f"{len(load.students)} students, {load.streams_ended} streams ended")
    assert restarts == [2 * ROUNDS] * len(SERVICE_NAMES) + [3 * ROUNDS]
    assert load.failures == Counter(), f"{told}; {load.told}; {house.troubles}"
    assert load.per_second >= AT_LEAST_PER_SECOND, told
    assert load.streams_ended >= 2 * ROUNDS
    assert await lost(house, load) == {}, told
    assert not [pod.process.name for pod in house.pods if "Traceback" in pod.process.log.read_text()]


@pytest.mark.chaos
async def test_this_load_notices_a_stop_without_a_drain_and_a_message_that_is_lost(
    hasty_house: House, tokens: Tokens
) -> None:
    house, load = hasty_house, Load(hasty_house.nginx.url, tokens, per_second=PER_SECOND)
    await load.once()
    assert load.failures == Counter(), "at rest"

    async with load.running():
        for pair in house.instances.values():
            await end(pair[0])
        failed = load.failures.total()
        await end(house.instances["communication"][1])

    assert failed, "this load would not notice"
    assert "communication" in await lost(house, load, after_s=5), "this count would not notice"
