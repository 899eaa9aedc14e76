"""One budget: fewer than 50 connections to Postgres in the whole house, with a replica and without one."""

from importlib import import_module
from typing import Any

import pytest

from shared.database import Database
from shared.settings import load
from tools.dumps import EXAMPLE_ENV
from tools.topology import SERVICE_NAMES

BUDGET = 50
LISTENER = 1
"""Each worker's relay listens to its outbox on a connection of its own."""
READ_URL = {"DATABASE_READ_URL": "postgresql://elsewhere"}


def pools(database: Database) -> tuple[int, int]:
    """How many connections it may have to the primary and to the replica."""
    return database._pool.max_size, database._replica.pool.max_size if database._replica else 0


def connections(service: str, env: dict[str, str]) -> tuple[int, int]:
    """Of one API and one worker, with what the worker opens besides."""
    settings: Any = load(import_module(f"services.{service}.settings").Settings, EXAMPLE_ENV | env)
    primary, replica = pools(Database(settings, serves=True))
    worker = import_module(f"services.{service}.worker").create_worker(settings, Database(settings))
    own = [pools(each) for each in worker._resources if isinstance(each, Database)]
    to_primary = primary + settings.worker_pool_max + LISTENER + sum(each[0] for each in own)
    return to_primary, replica + sum(each[1] for each in own)


@pytest.mark.parametrize(
    ("env", "to_replica"), [({}, 0), (READ_URL, 2 * len(SERVICE_NAMES))], ids=["alone", "with a replica"]
)
async def test_the_house_stays_within_its_budget(env: dict[str, str], to_replica: int) -> None:
    found = [connections(service, env) for service in SERVICE_NAMES]

    assert sum(replica for _, replica in found) == to_replica
    assert sum(primary + replica for primary, replica in found) < BUDGET, "lower the pools in shared/settings.py"


async def test_a_worker_has_no_connection_to_the_replica() -> None:
    settings: Any = load(import_module("services.academic.settings").Settings, EXAMPLE_ENV | READ_URL)

    assert pools(Database(settings))[1] == 0


@pytest.mark.parametrize("connections", [1, 2, 3])
async def test_a_small_pool_is_shared_too(connections: int) -> None:
    env = EXAMPLE_ENV | READ_URL | {"DATABASE_POOL_MAX": str(connections)}
    settings: Any = load(import_module("services.academic.settings").Settings, env)

    assert all(count >= 1 for count in pools(Database(settings, serves=True)))
