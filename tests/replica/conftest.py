import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from services.academic.settings import Settings
from shared.replica import BEHIND_S
from shared.testing.stack import Servers, Stack
from tools.embedded.replica import EmbeddedReplica

BOUND_S = 60.0
NEVER_STALE_S = 300.0
"""So long that no floor is taken anew during a test."""


class Pair:
    """A primary and its replica, besides all others."""

    def __init__(self, directory: Path) -> None:
        self.servers = Servers(directory)
        self.servers.start()
        self.stack = Stack(self.servers.addresses(), 0, lambda: None)
        self.replica = EmbeddedReplica(directory / "replica", self.servers.postgres, durable=False)
        self.replica.start()

    def stop(self) -> None:
        self.replica.stop()
        self.servers.stop()

    def read_url(self, service: str) -> str:
        parts = urlsplit(self.stack.database_url(service))
        return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self.replica.port}").geturl()

    def settings(self, type_: Any = Settings, service: str = "academic", **overrides: object) -> Any:
        chosen = {"database_read_url": self.read_url(service), "database_read_stale_s": NEVER_STALE_S, **overrides}
        return self.stack.settings(type_, service, **chosen)

    def caught_up(self) -> None:
        """Wait until the replica shows what the primary has by now."""
        with psycopg.connect(self.stack.admin_url, autocommit=True) as primary:
            primary.execute("SET synchronous_commit = on")
            primary.execute("SELECT pg_logical_emit_message(true, 'test', 'flushes all that was written before')")
            row = primary.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        assert row is not None
        deadline = time.monotonic() + BOUND_S
        with psycopg.connect(self.replica.admin_url, autocommit=True) as replica:
            while replica.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone() != (True,):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        time.sleep(1.5 * BEHIND_S)  # so long its readers believe that it is behind

    @contextmanager
    def paused(self) -> Generator[None]:
        self.caught_up()
        self.replica.pause()
        try:
            yield
        finally:
            self.replica.resume()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("replica"))
    yield pair
    pair.stop()
