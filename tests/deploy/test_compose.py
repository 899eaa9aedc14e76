"""docker-compose.yml says what tools/topology.py says, starts every app with settings it understands, and is tight."""

import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import manifests
from tests.deploy.compose import (
    CHECKS,
    COMPOSE,
    GATEWAYS,
    Compose,
    answers_on_its_port,
    calls_only_whom_it_may,
    follows_the_specification,
    has_a_replica_like_its_primary,
    has_every_process_scraped,
    has_settings_it_understands,
    holds_no_secret,
    is_given_time_to_stop,
    is_watched,
    keeps_the_budget,
    may_do_little,
    mounts_what_is_there,
    names_its_images,
    names_servers_that_are_there,
    publishes_only_on_loopback,
    reaches_what_it_needs_and_nothing_else,
    runs_every_app,
    uses_its_own_role,
    waits_for_its_migrations,
)
from tests.deploy.manifests import ROOT, Complaints, copy_of
from tools.topology import GATEWAY


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return manifests.make_secrets(tmp_path_factory.mktemp("secrets") / "secrets.env")


@pytest.fixture
def compose(secrets: dict[str, str]) -> Compose:
    return Compose(COMPOSE.read_text(), secrets)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_compose_file(compose: Compose, check: Callable[[Compose], Complaints]) -> None:
    assert list(check(compose)) == []


def _env(name: str, **variables: str | None) -> Callable[[dict[str, Any]], None]:
    def change(services: dict[str, Any]) -> None:
        env = {**services[name]["environment"], **variables}
        services[name]["environment"] = {key: value for key, value in env.items() if value is not None}

    return change


def _set(name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(services: dict[str, Any]) -> None:
        services[name] = {key: value for key, value in {**services[name], **fields}.items() if value is not None}

    return change


def _databases_without(option: str) -> Callable[[dict[str, Any]], None]:
    def change(services: dict[str, Any]) -> None:
        for name in ("postgres", "postgres-replica"):
            services[name]["command"] = [each for each in services[name]["command"] if option not in each]

    return change


MISTAKES = {
    "a misspelt field": (_set("auth", healtcheck={}), follows_the_specification),
    "a service that nobody runs": (lambda services: services.pop("school-worker"), runs_every_app),
    "an API that runs the worker": (_set("auth", command=["worker"]), runs_every_app),
    "a foreign image": (_set("auth", image="homeroom-school"), runs_every_app),
    "another port": (_env("academic", PORT="3004"), answers_on_its_port),
    "a worker that cannot be watched": (_env("auth-worker", WORKER_PORT=None), answers_on_its_port),
    "a missing setting": (_env("academic", S3_BUCKET=None), has_settings_it_understands),
    "a misspelt setting": (_env("gateway-2", TRUSTED_PROXY_HOP="1"), has_settings_it_understands),
    "a setting that is no number": (_env("auth", DRAIN_S="soon"), has_settings_it_understands),
    "a migration with too many secrets": (_env("auth-migrate", SEAL_KEY="x"), has_settings_it_understands),
    "a way to the object store": (
        _set("school", networks=["inside", "database", "redis", "bus", "objects"]),
        reaches_what_it_needs_and_nothing_else,
    ),
    "no way to the database": (
        _set("school", networks=["inside", "redis", "bus"]),
        reaches_what_it_needs_and_nothing_else,
    ),
    "a server that is not there": (_env("auth", BUS_URL="amqp://x:y@rabbit:5672/"), names_servers_that_are_there),
    "a server that cannot be reached": (_set("redis", networks=["bus"]), names_servers_that_are_there),
    "a wrong port of a server": (_env("auth", REDIS_URL="redis://redis:6380/0"), names_servers_that_are_there),
    "a call that topology does not know": (
        _env("notification", AUTH_URL="http://academic:3003"),
        calls_only_whom_it_may,
    ),
    "a foreign role": (
        _env("auth", DATABASE_URL="postgresql://school_app:x@postgres:5432/homeroom"),
        uses_its_own_role,
    ),
    "the owner's role": (
        _env("auth", DATABASE_URL="postgresql://auth_owner:x@postgres:5432/homeroom"),
        uses_its_own_role,
    ),
    "writes to the replica": (
        _env("auth", DATABASE_URL="postgresql://auth_app:x@postgres-replica:5432/homeroom"),
        uses_its_own_role,
    ),
    "root": (_set("nginx", user="0:0"), may_do_little),
    "an image's own user": (_set("redis", user=None), may_do_little),
    "a writable image": (_set("auth", read_only=False), may_do_little),
    "a capability": (_set("auth", cap_add=["NET_ADMIN"]), may_do_little),
    "no limit of memory": (_set("auth", deploy={"resources": {"limits": {"cpus": "1"}}}), may_do_little),
    "no health": (_set("rabbitmq", healthcheck=None), is_watched),
    "a start that does not wait": (
        _set("grafana", depends_on={"prometheus": {"condition": "service_started"}}),
        is_watched,
    ),
    "a start without a schema": (
        _set("auth", depends_on={"postgres": {"condition": "service_healthy"}}),
        waits_for_its_migrations,
    ),
    "a published database": (_set("postgres", ports=["127.0.0.1:5432:5432"]), publishes_only_on_loopback),
    "mails for everybody to read": (_set("mail", ports=["8025:8025"]), publishes_only_on_loopback),
    "a kill in the middle of a stop": (_set("auth", stop_grace_period="30s"), is_given_time_to_stop),
    "a drain of a second": (_env("school", DRAIN_S="1"), is_given_time_to_stop),
    "a stop in the middle of an import": (_env("gateway-1", STOP_GRACE_S="20"), is_given_time_to_stop),
    "a larger pool": (_env("academic", DATABASE_POOL_MAX="8"), keeps_the_budget),
    "a replica that refuses to start": (_set("postgres-replica", command=[]), has_a_replica_like_its_primary),
    "values in the log": (_databases_without("log_parameter_max_length"), has_a_replica_like_its_primary),
    "no slow statements in the log": (_databases_without("log_min_duration"), has_a_replica_like_its_primary),
    "a file that is not there": (_set("collector", volumes=["./deploy/otel.yaml:/x:ro"]), mounts_what_is_there),
    "a folder that can be changed": (_set("nginx", volumes=["./deploy/nginx:/etc/nginx"]), mounts_what_is_there),
    "any version": (_set("redis", image="redis"), names_its_images),
    "a committed password": (_env("redis", REDIS_PASSWORD="hunter2"), holds_no_secret),
    "a password in an address": (_env("auth", REDIS_URL="redis://:hunter2@redis:6379/0"), holds_no_secret),
    "a process that is not scraped": (_set("auth-worker", networks=["database"]), has_every_process_scraped),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_control_a_mistake_is_found(compose: Compose, mistake: str) -> None:
    change, check = MISTAKES[mistake]
    compose.raw = copy_of(compose.raw)
    change(compose.services)

    assert list(check(compose))


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "secrets.env"
    first = manifests.make_secrets(target)
    target.write_text(target.read_text().replace(f"SEAL_KEY={first['SEAL_KEY']}\n", "SEAL_KEY=\nOWN=kept\n"))

    second = manifests.make_secrets(target)

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {name for name in first if second[name] != first[name]} == {"SEAL_KEY"}
    assert second["OWN"] == "kept"
    assert len(set(first.values())) == len(first)


def test_every_secret_is_used_and_every_variable_is_made(secrets: dict[str, str]) -> None:
    text = COMPOSE.read_text()
    named = set(re.findall(r"\$\{([A-Z0-9_]+)(?::\?[^}]*)?\}", text))

    assert named == secrets.keys()


def test_git_takes_no_secrets_file() -> None:
    asked = subprocess.run(["git", "check-ignore", "deploy/secrets.env"], cwd=ROOT, check=False, capture_output=True)

    assert asked.returncode == 0


def test_the_gateways_are_all_the_gateways(compose: Compose) -> None:
    """What each admits by itself while Redis is down, and what nginx knows of, go by their number."""
    found = [name for name, service in compose.services.items() if service["image"] == f"homeroom-{GATEWAY.name}"]

    assert tuple(sorted(found)) == GATEWAYS
    assert {compose.env(name)["REPLICAS"] for name in found} == {str(len(found))}
