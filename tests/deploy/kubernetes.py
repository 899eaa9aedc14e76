"""The checks of k8s/: what it must say, and what it must not."""

import re
from urllib.parse import urlsplit

import kubernetes_validate

from tests.deploy import kubernetes_network, kubernetes_pods, kubernetes_scale, manifests, servers
from tests.deploy.cluster import COMPONENT, DEPLOYMENTS, NAME, PHASE, WORKER_PORT, Cluster, pod_of
from tests.deploy.kustomize import image_name
from tests.deploy.manifests import APPS, CLIENT_IP_HEADER, Complaints
from tools.topology import DATABASE, SERVICES

VERSION = "1.34"


def is_valid_to_the_letter(cluster: Cluster) -> Complaints:
    for resource in cluster.resources:
        try:
            kubernetes_validate.validate(resource, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{resource['kind']} {resource['metadata']['name']}: {error.message[:200]}"


def runs_every_app(cluster: Cluster) -> Complaints:
    expected = {**DEPLOYMENTS, **{f"{service.name}-migrate": (service.name, "migration") for service in SERVICES}}
    found = {name: (app, component) for name, app, component, _ in cluster.ours()}
    if found != expected:
        yield f"runs {sorted(found.keys() ^ expected.keys())}"
    for name, app, component, pod in cluster.ours():
        container = pod["spec"]["containers"][0]
        verb = {"migration": "migrate"}.get(component, component)
        if image_name(container["image"]) != f"homeroom-{app}":
            yield f"{name} does not run the image of {app}"
        if container.get("args") != (None if app == "gateway" else [verb]):
            yield f"{name} does not run {verb}"


def answers_on_its_port(cluster: Cluster) -> Complaints:
    for name, app, component, pod in cluster.ours():
        if component == "migration":
            continue
        container, env = pod["spec"]["containers"][0], cluster.settings_env(pod)
        port = WORKER_PORT if component == "worker" else APPS[app].port
        if env.get("WORKER_PORT" if component == "worker" else "PORT") != str(port) or env.get("HOST") != "0.0.0.0":
            yield f"{name} does not listen on {port}"
        if [(each["name"], each["containerPort"]) for each in container["ports"]] != [("http", port)]:
            yield f"{name} does not tell its port"
        paths = {
            probe: container.get(probe, {}).get("httpGet")
            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        live, ready = {"path": "/health/live", "port": "http"}, {"path": "/health/ready", "port": "http"}
        if paths != {"startupProbe": live, "livenessProbe": live, "readinessProbe": ready}:
            yield f"{name} is not asked for its health"
    for app, service in APPS.items():
        found = cluster.of("Service").get(app, {}).get("spec", {})
        if found.get("selector") != {NAME: app, COMPONENT: "api"} or found["ports"][0]["port"] != service.port:
            yield f"{app} has no name of its own"


def has_settings_it_understands(cluster: Cluster) -> Complaints:
    for name, app, component, pod in cluster.ours():
        env = cluster.settings_env(pod)
        if component != "migration":
            yield from manifests.settings_complaints(name, app, env)
        elif set(env) != {"DATABASE_OWNER_URL"}:
            yield f"{name} knows {sorted(env)}"
        if any("$(" in value for value in env.values()):
            yield f"{name} has a variable that is made of nothing"


def names_servers_that_are_there(cluster: Cluster) -> Complaints:
    services = cluster.of("Service")
    for name, app, _, pod in cluster.ours():
        hosts: set[str] = set()
        for variable, value in cluster.settings_env(pod).items():
            if "://" not in value or variable in {
                "PUBLIC_URL",
                "S3_PUBLIC_ENDPOINT_URL",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
            }:
                continue
            url = urlsplit(value)
            host = url.hostname or ""
            hosts.add(host)
            if "." in host:
                continue
            if host not in services or services[host]["spec"]["ports"][0]["port"] != url.port:
                yield f"{name}: {variable} names {host}:{url.port}, which is not there"
        if not hosts & APPS.keys() - {app} <= manifests.calls_of(app):
            yield f"{name} is told of one whom it never calls"


def uses_its_own_secrets(cluster: Cluster) -> Complaints:
    if cluster.of("Secret"):
        yield "a secret is committed"
    for name, app, component, pod in cluster.ours():
        role = "owner" if component == "migration" else "app"
        for value in cluster.settings_env(pod).values():
            url = urlsplit(value) if value.startswith("postgresql://") else None
            if url and (url.username != f"{app}_{role}" or url.path != f"/{DATABASE}"):
                yield f"{name} connects as {url.username} to {url.path}"
        for variable in pod["spec"]["containers"][0].get("env", ()):
            key = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key", "")
            owner = re.match(r"([A-Z]+)_(OWNER|APP)_PASSWORD|([A-Z]+)_SERVICE_SECRET", key)
            foreign = owner and (owner[1] or owner[3]).lower() != app
            if foreign and not (app == "auth" and owner[3]):
                yield f"{name} is given {key}"


def reads_from_the_replica(cluster: Cluster) -> Complaints:
    addresses = cluster.config("postgres")
    if addresses["POSTGRES"] == addresses["POSTGRES_REPLICA"]:
        yield "the replica is the primary"
    for name, app, component, pod in cluster.ours():
        env = cluster.settings_env(pod)
        wanted = {"DATABASE_OWNER_URL"} if component == "migration" else {"DATABASE_URL", "DATABASE_READ_URL"}
        found = {variable for variable, value in env.items() if value.startswith("postgresql://")}
        if found != (set() if app == "gateway" else wanted):
            yield f"{name} knows of {sorted(found)}"
        for variable in found:
            host = addresses["POSTGRES_REPLICA" if variable == "DATABASE_READ_URL" else "POSTGRES"]
            if urlsplit(env[variable]).netloc.rpartition("@")[2] != host:
                yield f"{name}: {variable} is not at {host}"


def is_applied_in_phases(cluster: Cluster) -> Complaints:
    wanted = {"Job": "migration", "Deployment": "app", "HorizontalPodAutoscaler": "app", "PodDisruptionBudget": "app"}
    for resource in cluster.resources:
        phase = resource["metadata"].get("labels", {}).get(PHASE, "config")
        is_ours = resource["metadata"]["name"] in {*APPS, *DEPLOYMENTS}
        expected = "app" if resource["kind"] == "Service" and is_ours else wanted.get(resource["kind"], "config")
        if phase != expected:
            yield f"{resource['kind']} {resource['metadata']['name']} is applied with {phase}"
        if resource["kind"] != "Namespace" and resource["metadata"].get("namespace") != "homeroom":
            yield f"{resource['kind']} {resource['metadata']['name']} is in no namespace"


def is_behind_what_it_believes(cluster: Cluster) -> Complaints:
    if cluster.settings_env(pod_of(cluster, "auth")).get("CLIENT_IP_HEADER") != CLIENT_IP_HEADER:
        yield "auth takes all clients for one: the gateway"
    env = cluster.settings_env(pod_of(cluster, "gateway"))
    if env["TRUSTED_PROXY_HOPS"] != str(len(cluster.of("Ingress"))):
        yield "the gateway believes another number of proxies than there are"
    for _, _, _, pod in cluster.ours():
        image = pod["spec"]["containers"][0]["image"]
        if image.rpartition("/")[2].partition(":")[2] in {"", "latest"}:
            yield f"{image} is whatever was pushed last"
    if cluster.overlay == "production":
        urls = [
            value for _, _, _, pod in cluster.ours() for value in cluster.settings_env(pod).values() if "://" in value
        ]
        outside = [value for value in urls if "." in (urlsplit(value).hostname or "") and ".monitoring" not in value]
        plain = [value for value in outside if value.startswith(("redis:", "amqp:", "smtp:"))]
        if plain or any("sslmode=verify-full" not in value for value in outside if value.startswith("postgresql:")):
            yield "passwords leave the cluster in the clear"


CHECKS = [
    is_valid_to_the_letter,
    runs_every_app,
    answers_on_its_port,
    has_settings_it_understands,
    names_servers_that_are_there,
    uses_its_own_secrets,
    reads_from_the_replica,
    is_applied_in_phases,
    is_behind_what_it_believes,
    *kubernetes_network.CHECKS,
    *kubernetes_pods.CHECKS,
    *kubernetes_scale.CHECKS,
    *servers.CHECKS,
]
