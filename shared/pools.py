"""The open connection pools of this process, counted whenever somebody looks at `/metrics`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg_pool import AsyncConnectionPool

GAUGES: Final = {"pool_max": "max", "pool_size": "open", "pool_available": "idle", "requests_waiting": "waiting"}
"""psycopg-pool's figures that say how things are now, and our words for them."""
COUNTERS: Final = {"requests_num": "asked", "requests_queued": "queued", "requests_errors": "refused"}
"""Those that only ever grow; `refused` got no connection in time."""


_open: WeakKeyDictionary[AsyncConnectionPool[Any], str] = WeakKeyDictionary()


def watch(name: str, pool: AsyncConnectionPool[Any]) -> None:
    _open[pool] = name


def forget(pool: AsyncConnectionPool[Any]) -> None:
    _open.pop(pool, None)


class PoolCollector(Collector):
    """`homeroom_database_connections` of each pool, and what it was asked; pools of one name are added up."""

    def collect(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily(
            "homeroom_database_connections", "Connections of a pool, and who waits for one.", labels=("pool", "state")
        )
        asked = CounterMetricFamily(
            "homeroom_database_pool_requests", "What became of requests for a connection.", labels=("pool", "outcome")
        )
        for name, stats in _stats().items():
            for figure, state in GAUGES.items():
                connections.add_metric((name, state), stats[figure])
            for figure, outcome in COUNTERS.items():
                asked.add_metric((name, outcome), stats[figure])
        yield connections
        yield asked


def _stats() -> Mapping[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for pool, name in list(_open.items()):
        found.setdefault(name, Counter()).update(pool.get_stats())
    return found


REGISTRY.register(PoolCollector())
