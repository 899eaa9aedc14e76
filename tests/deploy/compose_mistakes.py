"""Mistakes in the apps of docker-compose.yml, each with the check that must find it."""

from collections.abc import Callable
from typing import Any

from tests.deploy.compose import (
    answers_on_its_port,
    calls_only_whom_it_may,
    follows_the_specification,
    has_every_process_scraped,
    has_room,
    has_settings_it_understands,
    holds_no_secret,
    is_given_time_to_stop,
    is_watched,
    keeps_the_budget,
    may_do_little,
    mounts_what_is_there,
    names_no_registry,
    names_servers_that_are_there,
    publishes_only_on_loopback,
    reaches_what_it_needs_and_nothing_else,
    runs_every_app,
    uses_its_own_role,
    waits_for_its_migrations,
)
from tests.deploy.compose_file import Compose
from tests.deploy.manifests import Complaints

Change = Callable[[dict[str, Any]], object]
Mistakes = dict[str, tuple[Change, Callable[[Compose], Complaints]]]


def env_of(name: str, **variables: str | None) -> Change:
    """Other values of variables; None: no such variable."""

    def change(services: dict[str, Any]) -> None:
        env = {**services[name]["environment"], **variables}
        services[name]["environment"] = {key: value for key, value in env.items() if value is not None}

    return change


def fields_of(name: str, **fields: Any) -> Change:
    """Other fields of a service; None: no such field."""

    def change(services: dict[str, Any]) -> None:
        services[name] = {key: value for key, value in {**services[name], **fields}.items() if value is not None}

    return change


def without(name: str) -> Change:
    return lambda services: services.pop(name)


MISTAKES: Mistakes = {
    "a misspelt field": (fields_of("auth", healtcheck={}), follows_the_specification),
    "a service that nobody runs": (without("school-worker"), runs_every_app),
    "an API that runs the worker": (fields_of("auth", command=["worker"]), runs_every_app),
    "a foreign image": (fields_of("auth", image="homeroom-school"), runs_every_app),
    "another port": (env_of("academic", PORT="3004"), answers_on_its_port),
    "a worker that cannot be watched": (env_of("auth-worker", WORKER_PORT=None), answers_on_its_port),
    "a missing setting": (env_of("academic", S3_BUCKET=None), has_settings_it_understands),
    "a misspelt setting": (env_of("gateway-2", TRUSTED_PROXY_HOP="1"), has_settings_it_understands),
    "a setting that is no number": (env_of("auth", DRAIN_S="soon"), has_settings_it_understands),
    "a migration with too many secrets": (env_of("auth-migrate", SEAL_KEY="x"), has_settings_it_understands),
    "a way to the object store": (
        fields_of("school", networks=["inside", "database", "redis", "bus", "objects"]),
        reaches_what_it_needs_and_nothing_else,
    ),
    "a way to the scanner": (
        fields_of("school", networks=["inside", "database", "redis", "bus", "scanner"]),
        reaches_what_it_needs_and_nothing_else,
    ),
    "no way to the scanner": (
        fields_of("communication", networks=["inside", "database", "redis", "bus", "objects"]),
        reaches_what_it_needs_and_nothing_else,
    ),
    "a scanner at another port": (
        env_of("communication", SCANNER_URL="tcp://clamd:3311"),
        names_servers_that_are_there,
    ),
    "no way to the database": (
        fields_of("school", networks=["inside", "redis", "bus"]),
        reaches_what_it_needs_and_nothing_else,
    ),
    "a server that is not there": (env_of("auth", BUS_URL="amqp://x:y@rabbit:5672/"), names_servers_that_are_there),
    "a server that cannot be reached": (fields_of("redis", networks=["bus"]), names_servers_that_are_there),
    "a wrong port of a server": (env_of("auth", REDIS_URL="redis://redis:6380/0"), names_servers_that_are_there),
    "a call that topology does not know": (
        env_of("notification", AUTH_URL="http://academic:3003"),
        calls_only_whom_it_may,
    ),
    "a foreign role": (
        env_of("auth", DATABASE_URL="postgresql://school_app:x@postgres:5432/homeroom"),
        uses_its_own_role,
    ),
    "the owner's role": (
        env_of("auth", DATABASE_URL="postgresql://auth_owner:x@postgres:5432/homeroom"),
        uses_its_own_role,
    ),
    "writes to the replica": (
        env_of("auth", DATABASE_URL="postgresql://auth_app:x@postgres-replica:5432/homeroom"),
        uses_its_own_role,
    ),
    "root": (fields_of("nginx", user="0:0"), may_do_little),
    "an image's own user": (fields_of("redis", user=None), may_do_little),
    "a writable image": (fields_of("auth", read_only=False), may_do_little),
    "a capability": (fields_of("auth", cap_add=["NET_ADMIN"]), may_do_little),
    "no limit of memory": (fields_of("auth", deploy={"resources": {"limits": {"cpus": "1"}}}), may_do_little),
    "no health": (fields_of("rabbitmq", healthcheck=None), is_watched),
    "a start that does not wait": (
        fields_of("grafana", depends_on={"prometheus": {"condition": "service_started"}}),
        is_watched,
    ),
    "a start without a schema": (
        fields_of("auth", depends_on={"postgres": {"condition": "service_healthy"}}),
        waits_for_its_migrations,
    ),
    "a published database": (fields_of("postgres", ports=["127.0.0.1:5432:5432"]), publishes_only_on_loopback),
    "mails for everybody to read": (fields_of("mail", ports=["8025:8025"]), publishes_only_on_loopback),
    "a kill in the middle of a stop": (fields_of("auth", stop_grace_period="30s"), is_given_time_to_stop),
    "a drain of a second": (env_of("school", DRAIN_S="1"), is_given_time_to_stop),
    "a stop in the middle of an import": (env_of("gateway-1", STOP_GRACE_S="20"), is_given_time_to_stop),
    "a larger pool": (env_of("academic", DATABASE_POOL_MAX="8"), keeps_the_budget),
    "a file that is not there": (fields_of("collector", volumes=["./deploy/otel.yaml:/x:ro"]), mounts_what_is_there),
    "a folder that can be changed": (fields_of("nginx", volumes=["./deploy/nginx:/etc/nginx"]), mounts_what_is_there),
    "a committed password": (env_of("redis", REDIS_PASSWORD="hunter2"), holds_no_secret),
    "a password in an address": (env_of("auth", REDIS_URL="redis://:hunter2@redis:6379/0"), holds_no_secret),
    "a process that is not scraped": (fields_of("auth-worker", networks=["database"]), has_every_process_scraped),
    "memory for half a process": (
        fields_of("auth", deploy={"resources": {"limits": {"cpus": "1.0", "memory": "8M"}}}),
        has_room,
    ),
    "nowhere to write": (fields_of("auth", tmpfs=None), has_room),
    "an end that is one for good": (fields_of("auth", restart="on-failure"), is_watched),
    "a migration without an end": (fields_of("auth-migrate", restart="unless-stopped"), is_watched),
    "three of a worker": (
        lambda services: services["academic-worker"]["deploy"].update(replicas=3),
        keeps_the_budget,
    ),
    "two of an API": (fields_of("auth", scale=2), keeps_the_budget),
    "none of a worker": (fields_of("auth-worker", scale=0, deploy={"replicas": 0}), keeps_the_budget),
    "an nginx that is killed": (fields_of("nginx", stop_grace_period="1s"), is_given_time_to_stop),
    "the host of a registry": (fields_of("redis", image="registry.example/redis:8"), names_no_registry),
}
