"""The checks of docker-compose.yml: what it must say, and what it must not."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import msgspec
import yaml

from tests.deploy import manifests
from tests.deploy.manifests import APPS, CONNECTIONS, ROOT, Complaints, copy_of, interpolated, seconds
from tools.topology import DATABASE, SERVICES, Need

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
        if verb in {"api", "worker"} and app != "gateway" and "DATABASE_READ_URL" not in compose.env(name):
            yield f"{name} knows of no replica"


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
    if "--log_min_duration_statement=100ms" not in settings:
        yield "slow statements are not logged"
    if not {"--log_parameter_max_length=0", "--log_error_verbosity=terse"} <= set(settings):
        yield "the values of statements are logged"
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
