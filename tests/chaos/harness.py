"""What the chaos tests share: processes that are killed at random moments, and Jepsen's way of counting.

`CHAOS_SCALE` multiplies the load and the kills; `CHAOS_SEED` repeats the choices of an earlier run.
"""

import asyncio
import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psutil
import redis

from tools.embedded.processes import Process
from tools.embedded.rabbitmq import EmbeddedRabbitMQ, is_installed
from tools.embedded.valkey import EmbeddedValkey

SCALE = float(os.environ.get("CHAOS_SCALE", "1"))
SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
ROOT = Path(__file__).parents[2]
TRANSPORTS = ["valkey", *(["amqp"] if is_installed() else [])]
SHOWN = 5
BOUND_TO_START_S = 60.0


def scaled(number: float) -> int:
    return max(1, round(number * SCALE))


def chance() -> random.Random:
    return random.Random(SEED)


def python(name: str, *arguments: str | Path, log: Path, env: Mapping[str, str]) -> Process:
    """A child that runs `python -m …` in this repository; not yet started."""
    return Process(name, [sys.executable, "-m", *arguments], log=log, env=env, cwd=ROOT)


class Broker:
    """A broker of a test's own, on disk, that comes back with its data after a kill."""

    def __init__(self, transport: str, directory: Path) -> None:
        self.kills = 0
        self._server = EmbeddedRabbitMQ(directory) if transport == "amqp" else EmbeddedValkey(directory)

    @property
    def url(self) -> str:
        return self._server.url.replace("redis://", "valkey://")

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def in_hand(self, queue: str) -> int:
        """How many events a consumer has, or had when it was killed. RabbitMQ hands those to another at once."""
        if isinstance(self._server, EmbeddedRabbitMQ):
            return 0
        with redis.Redis(port=self._server.port) as client:
            pending: Any = client.xpending("homeroom:events", queue)
            return pending["pending"]

    async def kill_at_random(self, times: int, dice: random.Random, *, apart_s: tuple[float, float]) -> None:
        for _ in range(times):
            await asyncio.sleep(dice.uniform(*apart_s))
            self._server.process.ensure_running()
            self._server.process.kill()
            self.kills += 1
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            await asyncio.to_thread(self._server.start)


class Victims:
    """Processes of one kind. One that dies by itself fails the test; one that does not yet work is not killed."""

    def __init__(self, processes: Sequence[Process], *, database_port: int) -> None:
        self.processes = processes
        self.kills = 0
        self._database_port = database_port

    def start(self) -> None:
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        for process in self.processes:
            process.request_stop()
        for process in self.processes:
            process.stop()

    async def kill_at_random(self, times: int, dice: random.Random, *, within_s: float) -> None:
        """Kill one that is at work, up to `within_s` after it began to be, start it again, and so on."""
        for _ in range(times):
            victim = dice.choice(self.processes)
            await until(lambda victim=victim: self._is_at_work(victim), f"{victim.name} to be at work")
            await asyncio.sleep(dice.uniform(0, within_s))
            victim.ensure_running()
            victim.kill()
            self.kills += 1
            await asyncio.sleep(dice.uniform(0, 0.3))
            victim.start()

    async def are_at_work(self) -> None:
        for each in self.processes:
            await until(lambda each=each: self._is_at_work(each), f"{each.name} to be at work")

    def _is_at_work(self, process: Process) -> bool:
        """Whether it is connected to the database: before that it can neither lose nor double anything."""
        process.ensure_running()
        try:
            connections = psutil.Process(process.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        return any(each.raddr and each.raddr.port == self._database_port for each in connections)


async def until(
    check: Callable[[], bool], what: str, *, timeout_s: float = BOUND_TO_START_S, pause_s: float = 0.05
) -> None:
    """Poll `check`; `what` completes "waited for …"."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, f"Waited {timeout_s:g} s in vain for {what}."
        await asyncio.sleep(pause_s)


class Progress(Protocol):
    def __call__(self) -> object: ...


async def quiet(is_done: Callable[[], bool], progress: Progress, *, quiet_s: float) -> None:
    """Wait until it is done, or until nothing has moved for `quiet_s`."""
    last, since = progress(), time.monotonic()
    while not is_done() and time.monotonic() - since < quiet_s:
        await asyncio.sleep(0.2)
        if (now := progress()) != last:
            last, since = now, time.monotonic()


class Account(msgspec.Struct, kw_only=True):
    """What was to be and what was, in the words of Jepsen; `note` says what was done to the system meanwhile."""

    attempted: int
    acknowledged: int
    recovered: int
    """Came about although nobody was told so."""
    lost: list[str]
    unexpected: list[str]
    duplicated: list[str]
    note: str

    @property
    def is_exact(self) -> bool:
        return not (self.lost or self.unexpected)

    def __str__(self) -> str:
        sets = {"lost": self.lost, "unexpected": self.unexpected, "duplicated": self.duplicated}
        told = [f"{len(found)} {name}" + (f" {found[:SHOWN]}" if found else "") for name, found in sets.items()]
        counts = f"{self.attempted} attempted, {self.acknowledged} acknowledged, {self.recovered} recovered"
        return f"{counts}, {', '.join(told)} ({self.note}; CHAOS_SEED={SEED})"


def account(
    *, attempted: set[str], acknowledged: set[str], expected: set[str], seen: Counter[str], note: str
) -> Account:
    """Compare what took effect (`expected`) with what was seen of it, and how often."""
    return Account(
        attempted=len(attempted),
        acknowledged=len(acknowledged),
        recovered=len(expected - acknowledged),
        lost=sorted((expected | acknowledged) - seen.keys()),
        unexpected=sorted(seen.keys() - expected),
        duplicated=sorted(each for each, times in seen.items() if times > 1),
        note=note,
    )
