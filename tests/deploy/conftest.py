import itertools
from collections.abc import Generator
from pathlib import Path

import pytest

from shared.testing.stack import Stack
from tests.chaos.harness import Broker

SERIAL = itertools.count(1)


class Alone(Stack):
    """A database and a bus that no other test's worker looks at."""

    def __init__(self, stack: Stack, bus_url: str) -> None:
        super().__init__(stack._addresses, 1_000_000 * (stack._number + 1) + next(SERIAL), lambda: None)
        self._shared = stack
        self._own_bus_url = bus_url

    @property
    def redis_url(self) -> str:
        return self._shared.redis_url

    @property
    def bus_url(self) -> str:
        return self._own_bus_url


def alone_on(transport: str, stack: Stack, directory: Path) -> Generator[Alone]:
    broker = Broker(transport, directory / "broker")
    broker.start()
    yield Alone(stack, broker.url)
    broker.stop()


@pytest.fixture
def alone(stack: Stack, tmp_path: Path) -> Generator[Alone]:
    yield from alone_on("valkey", stack, tmp_path)
