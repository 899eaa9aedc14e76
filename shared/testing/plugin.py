"""The pytest plugin of the house: starts the servers once, in the controlling process, and stops them by their id."""

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
from xdist.scheduler import LoadGroupScheduling

from shared.testing.stack import Addresses, Servers, Stack
from shared.testing.tokens import Tokens

hypothesis.settings.register_profile("house", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("house")


class Run:
    """The servers of this run; started when first asked for, so that pure tests alone cost nothing."""

    def __init__(self) -> None:
        self._servers: Servers | None = None
        self._directory: Path | None = None

    def servers(self) -> Servers:
        if self._servers is None:
            self._directory = Path(tempfile.mkdtemp(prefix="homeroom-test-"))
            self._servers = Servers(self._directory)
            self._servers.start()
        return self._servers

    def end(self) -> None:
        if self._servers:
            self._servers.stop()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


RUN: pytest.StashKey[Run] = pytest.StashKey()
TOGETHER = ("tests/e2e/", "tests/plans/")
"""Folders whose tests share what takes long to set up: the whole house, 200 filled schools."""


class Together(LoadGroupScheduling):
    """Gives each of these folders to one worker, and every other test to whoever is free.

    The mark `xdist_group` would say the same, but has no effect with pytest 9.2 (pytest-xdist#1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[RUN] = Run()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together | None:
    return Together(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by xdist in the controlling process for each worker."""
    servers = node.config.stash[RUN].servers()
    number = int(node.workerinput["workerid"].removeprefix("gw"))
    node.workerinput["number"] = number
    node.workerinput["amqp_url"] = servers.amqp_url(number)
    node.workerinput["addresses"] = msgspec.json.encode(servers.addresses()).decode()


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        config.stash[RUN].end()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Generator[Stack]:
    """Postgres, Valkey and RabbitMQ, with a database of this worker's own."""
    workerinput = getattr(request.config, "workerinput", None)
    if workerinput is None:
        servers = request.config.stash[RUN].servers()
        yield Stack(servers.addresses(), 0, lambda: servers.amqp_url(0))
    else:
        addresses = msgspec.json.decode(workerinput["addresses"], type=Addresses)
        yield Stack(addresses, workerinput["number"], lambda: workerinput["amqp_url"])


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    return Tokens()
