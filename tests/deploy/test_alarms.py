"""Alarms find their way: Prometheus knows Alertmanager, and that knows somebody for each severity there is."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.deploy.compose import PORTS
from tests.deploy.manifests import ROOT, Complaints

DEPLOY = ROOT / "deploy"
PORT = 9093
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


class Watch:
    """The files of the watch, as they are or with a mistake."""

    def __init__(self) -> None:
        self.prometheus: Any = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        self.rules: Any = yaml.safe_load((DEPLOY / "prometheus/rules/homeroom.yml").read_text())["groups"][0]["rules"]
        self.alertmanager: Any = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
        self.services: Any = copy.deepcopy(COMPOSE)

    def reach(self, one: str, other: str) -> bool:
        return bool({*self.services[one]["networks"]} & {*self.services.get(other, {}).get("networks", ())})


def is_told_of_alarms(watch: Watch) -> Complaints:
    managers = watch.prometheus.get("alerting", {}).get("alertmanagers", [])
    targets = [target for each in managers for of in each["static_configs"] for target in of["targets"]]
    if targets != [f"alertmanager:{PORT}"]:
        yield f"alarms go to {targets}"
    if not watch.reach("prometheus", "alertmanager"):
        yield "Prometheus cannot reach Alertmanager"


def knows_somebody_for_each_severity(watch: Watch) -> Complaints:
    receivers = {each["name"]: each.get("email_configs") for each in watch.alertmanager["receivers"]}
    routes = {each["matchers"][0]: each for each in watch.alertmanager["route"]["routes"]}
    for severity in sorted({rule["labels"]["severity"] for rule in watch.rules}):
        route = routes.get(f'severity="{severity}"')
        if route is None or route["matchers"][1:] or not receivers.get(route.get("receiver")):
            yield f"nobody is told of {severity}"
        elif route["receiver"] != severity:
            yield f"{severity} is told as {route['receiver']}"
    if not receivers.get(watch.alertmanager["route"]["receiver"]):
        yield "nobody is told of the rest"


def has_a_mail_server(watch: Watch) -> Complaints:
    host, _, port = watch.alertmanager["global"]["smtp_smarthost"].partition(":")
    if not watch.reach("alertmanager", host) or port != str(PORTS[host]):
        yield f"no mail goes to {host}:{port}"
    if watch.alertmanager["global"].get("smtp_require_tls", True):
        yield "the sink knows no TLS"


def always_says_something(watch: Watch) -> Complaints:
    always = [rule for rule in watch.rules if rule["labels"]["severity"] == "watchdog"]
    if [(rule["expr"], rule.get("for")) for rule in always] != [("count(up) > 0", None)]:
        yield "silence means nothing"


CHECKS = [
    is_told_of_alarms,
    knows_somebody_for_each_severity,
    has_a_mail_server,
    always_says_something,
]
Change = Callable[[Watch], object]
MISTAKES: dict[str, tuple[Change, Callable[[Watch], Complaints]]] = {
    "no alertmanager": (lambda watch: watch.prometheus.pop("alerting"), is_told_of_alarms),
    "an alertmanager elsewhere": (
        lambda watch: watch.services["alertmanager"].update(networks=["mail"]),
        is_told_of_alarms,
    ),
    "a route without a receiver": (
        lambda watch: watch.alertmanager["route"]["routes"][0].pop("receiver"),
        knows_somebody_for_each_severity,
    ),
    "no route for pages": (
        lambda watch: watch.alertmanager["route"]["routes"].pop(0),
        knows_somebody_for_each_severity,
    ),
    "pages as tickets": (
        lambda watch: watch.alertmanager["route"]["routes"][0].update(receiver="ticket"),
        knows_somebody_for_each_severity,
    ),
    "a receiver that tells nobody": (
        lambda watch: watch.alertmanager["receivers"][0].pop("email_configs"),
        knows_somebody_for_each_severity,
    ),
    "a severity that nobody knows": (
        lambda watch: watch.rules[1]["labels"].update(severity="urgent"),
        knows_somebody_for_each_severity,
    ),
    "another port for mails": (
        lambda watch: watch.alertmanager["global"].update(smtp_smarthost="mail:25"),
        has_a_mail_server,
    ),
    "no way to the mails": (
        lambda watch: watch.services["alertmanager"].update(networks=["watch"]),
        has_a_mail_server,
    ),
    "TLS that the sink refuses": (
        lambda watch: watch.alertmanager["global"].pop("smtp_require_tls"),
        has_a_mail_server,
    ),
    "no watchdog": (lambda watch: watch.rules.pop(0), always_says_something),
    "a watchdog that sleeps": (lambda watch: watch.rules[0].update(expr="up == 0"), always_says_something),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_alarms_find_their_way(check: Callable[[Watch], Complaints]) -> None:
    assert list(check(Watch())) == []


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_control_a_mistake_is_found(mistake: str) -> None:
    change, check = MISTAKES[mistake]
    watch = Watch()
    change(watch)

    assert list(check(watch)), f"{check.__name__} does not find it"
