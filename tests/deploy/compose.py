"""The checks of the apps in docker-compose.yml: what it must say of them, and what it must not."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import msgspec
import yaml

from gateway.settings import Settings
from tests.deploy import manifests
from tests.deploy.compose_file import OURS, PUBLISHED, ROOTS, RUNNING, SERVERS, WORKER_PORT, Compose
from tests.deploy.manifests import APPS, CONNECTIONS, LEAST_MIB, ROOT, Complaints, copy_of, seconds
from tools.topology import DATABASE, SERVICES, Need

SCHEMA = msgspec.json.decode((Path(__file__).parent / "compose-spec.json").read_bytes())
NETWORKS: Mapping[Need, str] = {
    "postgres": "database",
    "redis": "redis",
    "bus": "bus",
    "object store": "objects",
    "virus scanner": "scanner",
    "smtp": "mail",
}
PORTS = {"postgres": 5432, "postgres-replica": 5432, "redis": 6379, "rabbitmq": 5672} | {
    "object-store": 9000,
    "clamd": 3310,
    "mail": 1025,
    "collector": 4318,
}
PUBLIC = {"PUBLIC_URL", "S3_PUBLIC_ENDPOINT_URL"}
"""What browsers are told: nothing that a container reaches."""
WITHOUT_HEALTH = {"collector"}
"""Its image holds nothing but the collector: there is no program to ask with."""


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


def has_room(compose: Compose) -> Complaints:
    for name, (_, verb) in OURS.items():
        if compose.memory_mib(name) < LEAST_MIB[verb]:
            yield f"{name} cannot live in {compose.memory_mib(name)} MiB"
        if "/tmp" not in {each.partition(":")[0] for each in compose.services[name].get("tmpfs", ())}:
            yield f"{name} can write nowhere"
    for name, service in compose.services.items():
        places = [manifests.size_mib(each) for each in service.get("tmpfs", ())]
        if None in places:
            yield f"{name} may write half of the machine's memory full"
        if sum(filter(None, places)) > 0.75 * compose.memory_mib(name):
            yield f"{name} is killed when its tmpfs is full"


def is_watched(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        once = OURS.get(name, ("", ""))[1] == "migrate" or name in ROOTS
        if service.get("restart") != ("no" if once else "unless-stopped"):
            yield f"{name} is restarted {service.get('restart')}"
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
    for name in compose.services:
        for address, _, _ in compose.published(name):
            if name not in PUBLISHED:
                yield f"{name} is published"
            if address != "127.0.0.1":
                yield f"{name} is published beyond this machine unless somebody says otherwise"


def is_given_time_to_stop(compose: Compose) -> Complaints:
    for name, (app, _) in RUNNING.items():
        env = compose.env(name)
        if seconds(compose.services[name].get("stop_grace_period", "10s")) <= manifests.grace_s(app, env):
            yield f"{name} is killed before it has stopped"
        if not manifests.drains_longer_than_connections_idle(app, env):
            yield f"{name} cuts connections that are kept"
    longest = manifests.load(Settings, compose.env("gateway-1"))
    if longest.stop_grace_s < longest.import_deadline_s:
        yield "a gateway stops before an import may end"
    finishes_s = seconds(manifests.nginx_says("worker_shutdown_timeout"))
    if seconds(compose.services["nginx"].get("stop_grace_period", "10s")) <= finishes_s:
        yield "nginx is killed before it has stopped"


def keeps_the_budget(compose: Compose) -> Complaints:
    def copies(name: str) -> int:
        service = compose.services[name]
        return max(service.get("scale", 1), service.get("deploy", {}).get("replicas", 1))

    total = sum(
        copies(name) * manifests.connections(app, verb, compose.env(name)) for name, (app, verb) in RUNNING.items()
    )
    if total >= CONNECTIONS:
        yield f"{total} connections"
    yield from (f"{name} does not run" for name in OURS if not copies(name))


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


def names_no_registry(compose: Compose) -> Complaints:
    for name, service in compose.services.items():
        image: str = service["image"]
        if "." in image.partition(":")[0].partition("/")[0]:
            yield f"{name} names the host of a registry"


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
    has_room,
    is_watched,
    waits_for_its_migrations,
    publishes_only_on_loopback,
    is_given_time_to_stop,
    keeps_the_budget,
    mounts_what_is_there,
    names_no_registry,
    holds_no_secret,
    has_every_process_scraped,
]
