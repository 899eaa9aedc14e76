import itertools
from collections.abc import Generator
from pathlib import Path

import pytest

from shared.testing.stack import Stack
from tests.chaos.harness import TRANSPORTS, Broker

SERIAL = itertools.count(1)


class OwnStack(Stack):
    """A database that no other test writes into: workers act on whatever they find in theirs."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack._addresses, 1000 * (stack._number + 1) + next(SERIAL), lambda: None)
        self._shared = stack

    @property
    def redis_url(self) -> str:
        return self._shared.redis_url

    @property
    def postgres_port(self) -> int:
        return self._addresses.postgres_port


@pytest.fixture
def own_stack(stack: Stack) -> OwnStack:
    return OwnStack(stack)


@pytest.fixture(params=TRANSPORTS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Broker]:
    broker = Broker(request.param, tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def quick_broker(tmp_path: Path) -> Generator[Broker]:
    """For controls, which fail on any transport."""
    broker = Broker("valkey", tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()
