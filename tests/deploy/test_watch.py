"""The board and the alarms ask for what the processes really tell."""

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

from gateway import limits
from services.communication.files import scanner
from shared import cache, pools
from shared.bus import Outcome
from tests.deploy.manifests import mib
from tools.topology import GATEWAY, SERVICE_NAMES

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
OURS = ("gateway", *(f"services.{name}" for name in SERVICE_NAMES))
BY_PROMETHEUS = {"up"}
BY_TARGET = {"job", "instance"}
SUFFIXES = re.compile(r"_(bucket|count|sum|total|created)$")

BOARD = json.loads((DEPLOY / "grafana/dashboards/homeroom.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus/rules/homeroom.yml").read_text())["groups"][0]["rules"]
COMPOSE = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
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


def inner(node: Any) -> Iterator[Any]:
    for name in ("expr", "lhs", "rhs", "vector_selector", "args", "param"):
        found = getattr(node, name, None)
        yield from found if isinstance(found, list) else [found] if found is not None else []


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for each in inner(node):
        yield from selectors(each)


def family_of(name: str, told: dict[str, set[str]]) -> str | None:
    return next((each for each in (name, SUFFIXES.sub("", name)) if each in told), None)


def unknown(expression: str, told: dict[str, set[str]]) -> list[str]:
    """What an expression asks for that nobody tells."""
    found: list[str] = []
    for selector in selectors(promql_parser.parse(expression)):
        family = selector.name if selector.name in BY_PROMETHEUS else family_of(selector.name, told)
        if family is None:
            found.append(selector.name)
            continue
        asked = {matcher.name for matcher in selector.matchers.matchers}
        found += [f"{selector.name}: {label}" for label in sorted(asked - told.get(family, BY_TARGET))]
        found += [f"{selector.name}: {matcher.name} is never {value}" for matcher, value in strange(family, selector)]
    return found + lost(promql_parser.parse(expression), told)


def carried(node: Any, told: dict[str, set[str]]) -> set[str]:
    """The labels of what a part of an expression comes to."""
    if isinstance(node, promql_parser.VectorSelector):
        family = family_of(node.name, told)
        return {*told.get(family or "", BY_TARGET), *(["le"] if node.name.endswith("_bucket") else [])}
    if isinstance(node, promql_parser.AggregateExpr):
        return set(node.modifier.labels) if node.modifier else set()
    return set[str]().union(*(carried(each, told) for each in inner(node)))


def lost(node: Any, told: dict[str, set[str]]) -> list[str]:
    """Labels that something is summed up by, or paired by, though it has none of them: Prometheus says nothing."""
    found: list[str] = []
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql_parser.AggregateExpr) and modifier:
        found += [f"by {label}" for label in sorted({*modifier.labels} - carried(node.expr, told))]
    if isinstance(node, promql_parser.BinaryExpr) and modifier and modifier.matching:
        both = carried(node.lhs, told) & carried(node.rhs, told)
        found += [f"on {label}" for label in sorted({*modifier.matching.labels} - both)]
    return found + [complaint for each in inner(node) for complaint in lost(each, told)]


def declared(family: str, label: str) -> set[str] | None:
    """What a label may be, where the code says so."""
    everywhere = {
        "job": {scrape["job_name"] for scrape in SCRAPES},
        "service": {GATEWAY.name, *SERVICE_NAMES},
        "status": {str(status.value) for status in HTTPStatus},
    }
    of_one = {
        ("homeroom_database_connections", "state"): {*pools.GAUGES.values()},
        ("homeroom_database_pool_requests", "outcome"): {*pools.COUNTERS.values()},
        ("homeroom_cache_requests", "outcome"): said_by(cache, r"REQUESTS\.labels\(kind\.cache, ([^)]+)\)"),
        ("homeroom_file_scans", "outcome"): {*get_args(scanner.Outcome)},
        ("homeroom_events_consumed", "outcome"): {outcome.value for outcome in Outcome},
        ("homeroom_limiter", "outcome"): said_by(limits, r"def outcome\(self\)(.+?)\n\n"),
    }
    return of_one.get((family, label), everywhere.get(label))


def said_by(module: Any, pattern: str) -> set[str]:
    source = inspect.getsource(module)
    return {word for part in re.findall(pattern, source, re.DOTALL) for word in re.findall(r'"([a-z]+)"', part)}


def strange(family: str, selector: Any) -> Iterator[tuple[Any, str]]:
    """Values, or alternatives of a pattern, that a label never has."""
    for matcher in selector.matchers.matchers:
        known = declared(family, matcher.name)
        is_pattern = str(matcher.op) in {"MatchOp.Re", "MatchOp.NotRe"}
        for value in matcher.value.split("|") if is_pattern else [matcher.value]:
            pattern = value if is_pattern else re.escape(value)
            if known is not None and not any(re.fullmatch(pattern, each) for each in known):
                yield matcher, value


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
    ("expression", "complaint"),
    [
        ("sum by (handler) (rate(homeroom_request_seconds_count[5m]))", "by handler"),
        ("histogram_quantile(0.9, sum by (le) (rate(homeroom_request_seconds_count[5m])))", "by le"),
        ("max by (service) (sum by (status) (rate(homeroom_request_seconds_count[5m])))", "by service"),
        ("max by (service) (homeroom_outbox_age_seconds)", "by service"),
        ("homeroom_dead_letters / on (service) homeroom_outbox_age_seconds", "on service"),
    ],
)
def test_control_a_label_that_nothing_has_would_be_seen(
    expression: str, complaint: str, told: dict[str, set[str]]
) -> None:
    assert unknown(expression, told) == [complaint]


@pytest.mark.parametrize(
    "selector",
    [
        'up{job="apis"}',
        'up{job=~"gateway|api|workers"}',
        'homeroom_database_connections{state="available"}',
        'homeroom_database_pool_requests_total{outcome="errors"}',
        'homeroom_cache_requests_total{outcome!="hits"}',
        'homeroom_limiter_total{outcome!="allowed"}',
        'homeroom_file_scans_total{outcome=~"unreachable|down"}',
        'homeroom_request_seconds_count{service="edge"}',
        'homeroom_request_seconds_count{status=~"5..."}',
    ],
)
def test_control_a_value_that_no_label_has_would_be_seen(selector: str, told: dict[str, set[str]]) -> None:
    (complaint,) = unknown(selector, told)

    assert " is never " in complaint


def test_the_alarm_of_memory_comes_before_the_kill() -> None:
    (grows,) = [rule["expr"] for rule in RULES if rule["alert"] == "MemoryGrows"]
    (most_mib,) = re.findall(r"> ([0-9]+) \* 1024 \* 1024", grows)

    limits_mib = [
        mib(service["deploy"]["resources"]["limits"]["memory"])
        for service in COMPOSE.values()
        if service["image"].startswith("homeroom-") and service["restart"] != "no"
    ]
    assert len(limits_mib) == 2 * len(SERVICE_NAMES) + 3
    assert int(most_mib) < 0.9 * min(limits_mib)


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
        "homeroom_file_scans",
    ],
)
def test_what_the_requirements_ask_to_watch_is_on_the_board(metric: str) -> None:
    shown = " ".join(expression for _, expression in expressions())

    assert metric in shown


def test_each_alarm_says_how_urgent_it_is_and_what_is_wrong() -> None:
    for rule in RULES:
        always = rule["alert"] == "Watchdog"
        assert rule["labels"]["severity"] in ({"watchdog"} if always else {"page", "ticket"}), rule["alert"]
        assert rule["annotations"]["summary"].endswith((".", "?")), rule["alert"]
        assert always == ("for" not in rule), rule["alert"]


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
