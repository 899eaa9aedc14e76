"""The board and the alarms ask for what the processes really tell."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

from tools.topology import GATEWAY, SERVICE_NAMES

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
OURS = ("gateway", *(f"services.{name}" for name in SERVICE_NAMES))
BY_PROMETHEUS = {"up"}
BY_TARGET = {"job", "instance"}
SUFFIXES = re.compile(r"_(bucket|count|sum|total|created)$")

BOARD = json.loads((DEPLOY / "grafana/dashboards/homeroom.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus/rules/homeroom.yml").read_text())["groups"][0]["rules"]
SCRAPES = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """The metrics of all processes: the labels of each by its name."""
    for package in OURS:
        for module in ("app", "worker"):
            if package != "gateway" or module == "app":
                importlib.import_module(f"{package}.{module}")
    return {family.name: labels_of(family) for family in REGISTRY.collect()}


def labels_of(family: Any) -> set[str]:
    collector = REGISTRY._names_to_collectors.get(family.name)  # pyright: ignore[reportPrivateUsage]
    return {*getattr(collector, "_labelnames", ()), *getattr(family, "_labelnames", ()), *BY_TARGET}


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "args", "param"):
        inner = getattr(node, name, None)
        for each in inner if isinstance(inner, list) else [inner] if inner is not None else []:
            yield from selectors(each)


def family_of(name: str, told: dict[str, set[str]]) -> str | None:
    return next((each for each in (name, SUFFIXES.sub("", name)) if each in told), None)


def unknown(expression: str, told: dict[str, set[str]]) -> list[str]:
    """What an expression asks for that nobody tells."""
    found: list[str] = []
    for selector in selectors(promql_parser.parse(expression)):
        if selector.name in BY_PROMETHEUS:
            continue
        family = family_of(selector.name, told)
        if family is None:
            found.append(selector.name)
            continue
        asked = {matcher.name for matcher in selector.matchers.matchers}
        found += [f"{selector.name}: {label}" for label in sorted(asked - told[family])]
    return found


def expressions() -> list[tuple[str, str]]:
    board = [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in BOARD["panels"]
        for target in panel.get("targets", ())
    ]
    return board + [(rule["alert"], rule["expr"]) for rule in RULES]


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=[where for where, _ in expressions()])
def test_an_expression_asks_for_metrics_that_exist(where: str, expression: str, told: dict[str, set[str]]) -> None:
    assert list(selectors(promql_parser.parse(expression))), where
    assert unknown(expression, told) == []


def test_control_a_metric_that_nobody_tells_would_be_seen(told: dict[str, set[str]]) -> None:
    assert unknown("sum(rate(homeroom_requests_bucket[5m])) / up", told) == ["homeroom_requests_bucket"]
    assert unknown('homeroom_dead_letters{queue="auth"}', told) == ["homeroom_dead_letters: queue"]


@pytest.mark.parametrize(
    "metric",
    [
        "homeroom_request_seconds",
        "homeroom_database_seconds",
        "homeroom_database_connections",
        "homeroom_problems",
        "process_cpu_seconds",
        "process_resident_memory_bytes",
        "homeroom_session_seconds",
        "homeroom_cache_requests",
        "homeroom_limiter",
        "homeroom_outbox_age_seconds",
        "homeroom_dead_letters",
        "homeroom_alert_lateness_seconds",
    ],
)
def test_what_the_requirements_ask_to_watch_is_on_the_board(metric: str) -> None:
    shown = " ".join(expression for _, expression in expressions())

    assert metric in shown


def test_each_alarm_says_how_urgent_it_is_and_what_is_wrong() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"]["summary"].endswith((".", "?")), rule["alert"]
        assert rule["for"]


def test_the_alarms_watch_every_part_of_the_topology() -> None:
    (down,) = [rule["expr"] for rule in RULES if rule["alert"] == "PartIsDown"]
    (jobs,) = re.findall(r'job=~"([^"]+)"', down)

    watched = {
        target.partition(":")[0]
        for scrape in SCRAPES
        if scrape["job_name"] in jobs.split("|")
        for targets in scrape["static_configs"]
        for target in targets["targets"]
    }

    parts = {*SERVICE_NAMES, *(f"{name}-worker" for name in SERVICE_NAMES)}
    assert parts <= watched
    assert {name for name in watched - parts if not name.startswith(GATEWAY.name)} == set()
