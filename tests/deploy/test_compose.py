"""docker-compose.yml says what tools/topology.py says, starts every app with settings it understands, and is tight."""

import re
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import msgspec
import pytest
import yaml

from tests.deploy import manifests
from tests.deploy.manifests import APPS, CONNECTIONS, ROOT, Complaints, copy_of, interpolated, seconds
from tools.topology import DATABASE, GATEWAY, SERVICES, Need

COMPOSE = ROOT / "docker-compose.yml"
SCHEMA = msgspec.json.decode((Path(__file__).parent / "compose-spec.json").read_bytes())
GATEWAYS = ("gateway-1", "gateway-2", "gateway-3")
WORKER_PORT = "9000"
SERVERS: Mapping[Need, tuple[str, ...]] = {
    "postgres": ("postgres", "postgres-replica"),
    "redis": ("redis",),
    "bus": ("rabbitmq",),
    "object store": ("object-store",),
    "smtp": ("mail",),
}
NETWORKS: Mapping[Need, str] = {
    "postgres": "database",
    "redis": "redis",
    "bus": "bus",
    "object store": "objects",
    "smtp": "mail",
}
PORTS = {"postgres": 5432, "postgres-replica": 5432, "redis": 6379, "rabbitmq": 5672} | {
    "object-store": 9000,
    "mail": 1025,
    "collector": 4318,
}
PUBLISHED = {"nginx", "mail", "grafana", "object-store"}
PUBLIC = {"PUBLIC_URL", "S3_PUBLIC_ENDPOINT_URL"}
"""What browsers are told: nothing that a container reaches."""
WITHOUT_HEALTH = {"collector"}
"""Its image holds nothing but the collector: there is no program to ask with."""
ROOTS = {"objects-volume"}
"""Gives a new volume to the user of the object store, and ends."""
OURS = {
    **dict.fromkeys(GATEWAYS, ("gateway", "api")),
    **{service.name: (service.name, "api") for service in SERVICES},
    **{f"{service.name}-worker": (service.name, "worker") for service in SERVICES},
    **{f"{service.name}-migrate": (service.name, "migrate") for service in SERVICES},
}
RUNNING = {name: ours for name, ours in OURS.items() if ours[1] != "migrate"}


class Compose:
    """The file, with made-up secrets put in."""

    def __init__(self, text: str, secrets: Mapping[str, str]) -> None:
        self.raw: dict[str, Any] = yaml.safe_load(text)
        self._secrets = secrets

    @property
    def services(self) -> dict[str, Any]:
        return self.raw["services"]

    def env(self, name: str) -> dict[str, str]:
        given = self.services[name].get("environment", {})
        return {variable: interpolated(value, self._secrets) for variable, value in given.items()}

    def networks(self, name: str) -> set[str]:
        return set(self.services[name].get("networks", ()))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return manifests.make_secrets(tmp_path_factory.mktemp("secrets") / "secrets.env")


@pytest.fixture
def compose(secrets: dict[str, str]) -> Compose:
    return Compose(COMPOSE.read_text(), secrets)


def follows_the_specification(compose: Compose) -> Complaints:
    validator = jsonschema.Draft201909Validator(SCHEMA)
    for error in validator.iter_errors(copy_of(compose.raw)):
        yield f"{error.json_path}: {error.message[:200]}"


def runs_every_app(compose: Compose) -> Complaints:
    for name, (app, verb) in OURS.items():
        service = compose.services.get(name)
        if service is None:
            yield f"{name} is missing"
            continue
        if service["image"] != f"homeroom-{app}" or service["build"]["args"] != {"APP": app}:
            yield f"{name} does not run the image of {app}"
        if service.get("command") != (None if app == "gateway" else [verb]):
            yield f"{name} runs {service.get('command')}, not {verb}"
    named = {SERVERS[need][0] for service in SERVICES for need in service.needs}
    yield from (f"{name} is needed and missing" for name in named - compose.services.keys())


def answers_on_its_port(compose: Compose) -> Complaints:
    for name, (app, verb) in RUNNING.items():
        env = compose.env(name)
        variable, port = ("WORKER_PORT", WORKER_PORT) if verb == "worker" else ("PORT", str(APPS[app].port))
        if env.get(variable) != port or env.get("HOST") != "0.0.0.0":
            yield f"{name} does not listen on {port}"
        if f"http://127.0.0.1:{port}/health/ready" not in str(compose.services[name].get("healthcheck")):
            yield f"{name} is not asked for its health on {port}"


def has_settings_it_understands(compose: Compose) -> Complaints:
    for name, (app, _) in RUNNING.items():
        yield from manifests.settings_complaints(name, app, compose.env(name))
    for service in SERVICES:
        if set(compose.env(f"{service.name}-migrate")) != {"DATABASE_OWNER_URL"}:
            yield f"{service.name}-migrate knows more, or less, than its own database"


def reaches_what_it_needs_and_nothing_else(compose: Compose) -> Complaints:
    for name, (app, verb) in OURS.items():
        needed = {NETWORKS[need] for need in APPS[app].needs} | {"inside"}
        expected = {"database"} if verb == "migrate" else needed | ({"front"} if app == "gateway" else set())
        if compose.networks(name) != expected:
            yield f"{name} is in {sorted(compose.networks(name))}, not in {sorted(expected)}"
    for need, servers in SERVERS.items():
        for server in servers:
            inner = compose.networks(server) - {"outside"}
            if inner != {NETWORKS[need]}:
                yield f"{server} is in {sorted(inner)}"
    for name, network in compose.raw["networks"].items():
        if name != "outside" and not (network or {}).get("internal"):
            yield f"the network {name} leads outside"


def names_servers_that_are_there(compose: Compose) -> Complaints:
    for name in OURS:
        for variable, value in compose.env(name).items():
            url = urlsplit(value) if re.match(r"[a-z]+://", value) and variable not in PUBLIC else None
            if url is None:
                continue
            host = url.hostname or ""
            port = APPS[host].port if host in APPS else PORTS.get(host)
            if host not in compose.services or not compose.networks(host) & compose.networks(name):
                yield f"{name}: {variable} names {host}, which it cannot reach"
            elif url.port != port:
                yield f"{name}: {variable} names port {url.port} of {host}, which listens on {port}"


def calls_only_whom_it_may(compose: Compose) -> Complaints:
    for name, (app, _) in RUNNING.items():
        hosts = {urlsplit(value).hostname for value in compose.env(name).values() if "://" in value}
        called = {host for host in hosts if host in APPS and host != app}
        if called - manifests.calls_of(app):
            yield f"{name} is told of {called - manifests.calls_of(app)}, whom it never calls"
        if app == "gateway" and called != manifests.calls_of(app):
            yield f"{name} is not told of {manifests.calls_of(app) - called}"


def uses_its_own_role(compose: Compose) -> Complaints:
    for name, (app, verb) in OURS.items():
        for variable, value in compose.env(name).items():
            if not value.startswith("postgresql://"):
                continue
            url, role = urlsplit(value), "owner" if verb == "migrate" else "app"
            if url.username != f"{app}_{role}" or url.path != f"/{DATABASE}":
                yield f"{name}: {variable} connects as {url.username} to {url.path}"
            if (url.hostname == "postgres-replica") != (variable == "DATABASE_READ_URL"):
                yield f"{name}: {variable} is {url.hostname}"
        if verb == "api" and app != "gateway" and "DATABASE_READ_URL" not in compose.env(name):
            yield f"{name} does not read from the replica"


def may_do_little(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        if service.get("read_only") is not True:
            yield f"{name} may write to its own image"
        if service.get("cap_drop") != ["ALL"] or (service.get("cap_add") and name not in ROOTS):
            yield f"{name} has capabilities"
        if service.get("security_opt") != ["no-new-privileges:true"]:
            yield f"{name} may gain privileges"
        if service.get("privileged") or service.get("network_mode") == "host" or service.get("pid"):
            yield f"{name} shares what is the machine's"
        uid = str(service.get("user", "")).partition(":")[0]
        if name not in OURS and (not uid.isdigit() or uid == "0") and name not in ROOTS:
            yield f"{name} may run as root"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if not {"cpus", "memory"} <= limits.keys() or "pids_limit" not in service:
            yield f"{name} has no limits"


def is_watched(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        once = service.get("restart") == "no"
        if not once and "healthcheck" not in service and name not in WITHOUT_HEALTH:
            yield f"{name} is never asked for its health"
        for other, how in service.get("depends_on", {}).items():
            ends = compose.services[other].get("restart") == "no"
            wanted = "service_completed_successfully" if ends else "service_healthy"
            if how["condition"] != wanted:
                yield f"{name} does not wait for {other}"


def waits_for_its_migrations(compose: Compose) -> Complaints:
    for name, (app, verb) in RUNNING.items():
        if app != "gateway" and f"{app}-migrate" not in compose.services[name]["depends_on"]:
            yield f"{name} ({verb}) starts before its schema is there"


def publishes_only_on_loopback(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        for port in service.get("ports", ()):
            if name not in PUBLISHED:
                yield f"{name} is published"
            if not interpolated(port, {}).startswith("127.0.0.1:"):
                yield f"{name} is published beyond this machine unless somebody says otherwise"


def is_given_time_to_stop(compose: Compose) -> Complaints:
    for name, (app, _) in RUNNING.items():
        env = compose.env(name)
        if seconds(compose.services[name].get("stop_grace_period", "10s")) <= manifests.grace_s(app, env):
            yield f"{name} is killed before it has stopped"
        if not manifests.drains_longer_than_connections_idle(app, env):
            yield f"{name} cuts connections that are kept"
    longest = manifests.load(manifests.settings_type("gateway"), compose.env("gateway-1"))
    if longest.stop_grace_s < longest.import_deadline_s:  # pyright: ignore[reportAttributeAccessIssue]
        yield "a gateway stops before an import may end"


def keeps_the_budget(compose: Compose) -> Complaints:
    total = sum(manifests.connections(app, verb, compose.env(name)) for name, (app, verb) in RUNNING.items())
    if total >= CONNECTIONS:
        yield f"{total} connections"
    for name in ("postgres", "postgres-replica"):
        settings = str(compose.services[name]["command"])
        if int(re.search(r"max_connections=(\d+)", settings)[1]) <= total:  # pyright: ignore[reportOptionalSubscript]
            yield f"{name} refuses connections within the budget"


def has_a_replica_like_its_primary(compose: Compose) -> Complaints:
    primary, replica = (compose.services[name] for name in SERVERS["postgres"])
    settings = [option for option in primary["command"] if option.startswith("--")]
    if settings != replica["command"]:
        yield "primary and replica have other settings"
    if "--shared_preload_libraries=pg_stat_statements" not in settings:
        yield "statements are not counted"
    if "--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8" not in str(primary["environment"]):
        yield "texts would not sort as in the tests"
    if primary["image"] != replica["image"]:
        yield "primary and replica are of other versions"


def mounts_what_is_there(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        for volume in service.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if source.startswith("./"):
                if not (ROOT / source).exists():
                    yield f"{name} mounts {source}, which is not there"
                if not rest.endswith(":ro"):
                    yield f"{name} may change {source}"
            elif source not in compose.raw["volumes"]:
                yield f"{name} mounts {source}, which nobody declares"


def names_its_images(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        image: str = service["image"]
        repository, _, tag = image.partition(":")
        if "." in repository.partition("/")[0]:
            yield f"{name} names the host of a registry"
        if name not in OURS and tag in {"", "latest"}:
            yield f"{name} takes whatever version there is"


def holds_no_secret(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        for variable, value in service.get("environment", {}).items():
            is_secret = re.search(r"PASSWORD|PASS$|SECRET|_KEY|ACCESS_KEY_ID", variable)
            if is_secret and not re.search(r"\$\{[A-Z0-9_]+(:\?[^}]*)?\}", value):
                yield f"{name}: {variable} stands in the file"
            if re.search(r"://[^$/]*:[^$/]*@", value):
                yield f"{name}: {variable} holds a password"


def has_every_process_scraped(compose: Compose) -> Complaints:
    text = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in yaml.safe_load(text)["scrape_configs"]}
    scraped = {target for job in ("gateway", "api", "worker") for target in jobs[job]}
    expected = {
        f"{name}:{WORKER_PORT if verb == 'worker' else APPS[app].port}" for name, (app, verb) in RUNNING.items()
    }
    if scraped != expected:
        yield f"scraped: {sorted(scraped ^ expected)}"
    for name in (target.partition(":")[0] for targets in jobs.values() for target in targets):
        if not compose.networks("prometheus") & compose.networks(name):
            yield f"Prometheus cannot reach {name}"


CHECKS = [
    follows_the_specification,
    runs_every_app,
    answers_on_its_port,
    has_settings_it_understands,
    reaches_what_it_needs_and_nothing_else,
    names_servers_that_are_there,
    calls_only_whom_it_may,
    uses_its_own_role,
    may_do_little,
    is_watched,
    waits_for_its_migrations,
    publishes_only_on_loopback,
    is_given_time_to_stop,
    keeps_the_budget,
    has_a_replica_like_its_primary,
    mounts_what_is_there,
    names_its_images,
    holds_no_secret,
    has_every_process_scraped,
]


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
    "a call that topology does not know": (_env("school", AUTH_URL="http://academic:3003"), calls_only_whom_it_may),
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
