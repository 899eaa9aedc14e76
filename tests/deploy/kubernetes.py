"""The checks of k8s/: what it must say, and what it must not."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import kubernetes_validate

from tests.deploy import manifests
from tests.deploy.kustomize import Resource
from tests.deploy.manifests import APPS, CONNECTIONS, Complaints
from tests.deploy.policies import Pod, may_talk, selects
from tools.topology import CALLS, DATABASE, GATEWAY, SERVICES, Need

VERSION = "1.34"
OVERLAYS = ("local", "production")
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
PHASE = "homeroom.example/phase"
WORKER_PORT = 9000
SERVERS: Mapping[Need, tuple[str, ...]] = {
    "postgres": ("postgres", "postgres-replica"),
    "redis": ("redis",),
    "bus": ("rabbitmq",),
    "object store": ("object-store",),
    "smtp": ("mail",),
}
OUTSIDE: Mapping[Need, int] = {"postgres": 5432, "redis": 6379, "bus": 5671, "object store": 443, "smtp": 465}
DEPLOYMENTS = {
    GATEWAY.name: (GATEWAY.name, "api"),
    **{service.name: (service.name, "api") for service in SERVICES},
    **{f"{service.name}-worker": (service.name, "worker") for service in SERVICES},
}


class Cluster:
    """The resources of an overlay, and the Secret that an operator would make."""

    def __init__(self, resources: list[Resource], secrets: Mapping[str, str], overlay: str) -> None:
        self.resources = resources
        self.overlay = overlay
        self._secrets = secrets

    def of(self, kind: str) -> dict[str, Resource]:
        return {each["metadata"]["name"]: each for each in self.resources if each["kind"] == kind}

    def ours(self) -> Iterator[tuple[str, str, str, Resource]]:
        """Name, app, component and pod of each workload of ours."""
        for kind in ("Deployment", "Job"):
            for name, resource in self.of(kind).items():
                pod = resource["spec"]["template"]
                labels = pod["metadata"]["labels"]
                yield name, labels[NAME], labels[COMPONENT], pod

    def env(self, pod: Resource) -> tuple[dict[str, str], set[str]]:
        """What a container finds, and which of it is only there to make up the rest."""
        container = pod["spec"]["containers"][0]
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= self.of("ConfigMap")[source["configMapRef"]["name"]]["data"]
        parts: set[str] = set()
        for variable in container.get("env", ()):
            if "value" in variable:
                parts |= set(re.findall(r"\$\(([A-Z0-9_]+)\)", variable["value"]))
                value = re.sub(r"\$\(([A-Z0-9_]+)\)", lambda match: found.get(match[1], match[0]), variable["value"])
            else:
                value = self._secrets[variable["valueFrom"]["secretKeyRef"]["key"]]
            found[variable["name"]] = value
        return found, parts

    def settings_env(self, pod: Resource) -> dict[str, str]:
        found, parts = self.env(pod)
        unused = {"POSTGRES_REPLICA"}  # a worker, and a migration, have no use for it
        return {name: value for name, value in found.items() if name not in parts | unused}


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
        if container["image"].partition(":")[0] != f"homeroom-{app}":
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


def may_do_little(cluster: Cluster) -> Complaints:
    pods = [(name, pod) for name, _, _, pod in cluster.ours()]
    pods += [(name, resource["spec"]["template"]) for name, resource in cluster.of("StatefulSet").items()]
    for name, pod in pods:
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        security = spec.get("securityContext", {})
        if len(spec["containers"]) != 1 or spec.get("initContainers"):
            yield f"{name} has a second container"
        if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
            yield f"{name} may run as root"
        if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} may make any system call"
        if container.get("securityContext") != {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }:
            yield f"{name} may do more than it needs"
        if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
            yield f"{name} knows more of the cluster than it needs"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{name} has no limits"
    labels = cluster.of("Namespace")["homeroom"]["metadata"]["labels"]
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace takes careless pods"


def stops_in_order(cluster: Cluster) -> Complaints:
    for name, app, component, pod in cluster.ours():
        if component == "migration":
            continue
        lifecycle = pod["spec"]["containers"][0].get("lifecycle", {})
        pause_s = lifecycle.get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if component == "api" and pause_s < 5:
            yield f"{name} stops while it is still asked"
        if pod["spec"].get("terminationGracePeriodSeconds", 30) <= pause_s + manifests.grace_s(
            app, cluster.settings_env(pod)
        ):
            yield f"{name} is killed before it has stopped"
        if not manifests.drains_longer_than_connections_idle(app, cluster.settings_env(pod)):
            yield f"{name} cuts connections that are kept"


def survives_a_node(cluster: Cluster) -> Complaints:
    scalers, budgets = cluster.of("HorizontalPodAutoscaler"), cluster.of("PodDisruptionBudget")
    for name, (app, component) in DEPLOYMENTS.items():
        budget = budgets.get(name, {}).get("spec", {})
        selected = {NAME: app, COMPONENT: component}
        if budget.get("maxUnavailable") != 1 or budget["selector"]["matchLabels"] != selected:
            yield f"{name} may be evicted all at once"
        if component == "worker":
            continue
        scaler = scalers.get(name, {}).get("spec", {})
        least = 3 if app == "gateway" else 2
        if scaler.get("scaleTargetRef", {}).get("name") != name or scaler["minReplicas"] < least:
            yield f"{name} does not grow with its work"
        keys = {each["topologyKey"] for each in pod_of(cluster, name)["spec"].get("topologySpreadConstraints", ())}
        if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
            yield f"{name} may stand on one node"
        if "replicas" in cluster.of("Deployment")[name]["spec"]:
            yield f"{name} is shrunk by every roll-out"
    most = scalers["gateway"]["spec"]["maxReplicas"]
    if cluster.settings_env(pod_of(cluster, "gateway"))["REPLICAS"] != str(most):
        yield "gateways admit more than the quotas while Redis is down"


def keeps_the_budget(cluster: Cluster) -> Complaints:
    total = 1  # a migration at a time
    for name, (app, component) in DEPLOYMENTS.items():
        deployment = cluster.of("Deployment")[name]["spec"]
        scaler = cluster.of("HorizontalPodAutoscaler").get(name, {}).get("spec", {})
        replicas = scaler.get("maxReplicas", deployment.get("replicas"))
        each = manifests.connections(app, component, cluster.settings_env(deployment["template"]))
        surge = deployment["strategy"]["rollingUpdate"]["maxSurge"] if each else 0
        total += (replicas + surge) * each
    if total >= CONNECTIONS:
        yield f"{total} connections"


def pod_of(cluster: Cluster, deployment: str) -> Resource:
    return cluster.of("Deployment")[deployment]["spec"]["template"]


def pods_of(cluster: Cluster) -> dict[str, Pod]:
    workloads = [(name, pod) for name, _, _, pod in cluster.ours()]
    workloads += [(name, resource["spec"]["template"]) for name, resource in cluster.of("StatefulSet").items()]
    found = {
        name: Pod(
            pod["metadata"]["labels"],
            {each["name"]: each["containerPort"] for each in pod["spec"]["containers"][0].get("ports", ())},
        )
        for name, pod in workloads
    }
    return {
        **found,
        "monitoring": Pod({}, {"otlp": 4318}, "monitoring"),
        "ingress": Pod({}, {}, "ingress-nginx"),
        "stranger": Pod({NAME: "auth", COMPONENT: "api"}, {}, "default"),
    }


def expected_edges(cluster: Cluster) -> set[tuple[str, str]]:
    ours = {name: (app, component) for name, app, component, _ in cluster.ours()}
    running = {name: of for name, of in ours.items() if of[1] != "migration"}
    called = {(call.caller, call.callee) for call in CALLS}
    edges = {(name, callee) for name, (app, _) in running.items() for caller, callee in called if caller == app}
    edges |= {("monitoring", name) for name in running} | {(name, "monitoring") for name in ours}
    if cluster.overlay == "production":
        return edges | {("ingress", "gateway")}
    for name, (app, component) in ours.items():
        needs: set[Need] = {"postgres"} if component == "migration" else set(APPS[app].needs)
        edges |= {(name, server) for need in needs for server in SERVERS[need]}
    return edges | {("postgres-replica", "postgres")}


def opens_the_known_edges_only(cluster: Cluster) -> Complaints:
    policies, pods = list(cluster.of("NetworkPolicy").values()), pods_of(cluster)
    denied = cluster.of("NetworkPolicy").get("nothing-by-default", {}).get("spec")
    if denied != {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
        yield "what nobody thought of is allowed"
    found = {
        (source, target)
        for source in pods
        for target in pods
        if source != target
        and {pods[source].namespace, pods[target].namespace} & {"homeroom"}
        and any(may_talk(policies, pods[source], pods[target], port) for port in pods[target].ports.values())
    }
    expected = expected_edges(cluster)
    yield from (f"{source} cannot reach {target}" for source, target in sorted(expected - found))
    yield from (f"{source} can reach {target}" for source, target in sorted(found - expected))


def reaches_outside_for_its_needs_only(cluster: Cluster) -> Complaints:
    for name, app, component, pod in cluster.ours():
        labels = pod["metadata"]["labels"]
        found = {
            port["port"]
            for policy in cluster.of("NetworkPolicy").values()
            if selects(policy["spec"]["podSelector"], labels)
            for rule in policy["spec"].get("egress", ())
            for peer in rule["to"]
            for port in rule["ports"]
            if "ipBlock" in peer
        }
        needs: set[Need] = {"postgres"} if component == "migration" else set(APPS[app].needs)
        expected = {OUTSIDE[need] for need in needs} if cluster.overlay == "production" else set[int]()
        if found != expected:
            yield f"{name} reaches ports {sorted(found)} outside, not {sorted(expected)}"


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
    env = cluster.settings_env(pod_of(cluster, "gateway"))
    if env["TRUSTED_PROXY_HOPS"] != str(len(cluster.of("Ingress"))):
        yield "the gateway believes another number of proxies than there are"
    for _, _, _, pod in cluster.ours():
        image = pod["spec"]["containers"][0]["image"]
        if image.partition(":")[2] in {"", "latest"}:
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
    may_do_little,
    stops_in_order,
    survives_a_node,
    keeps_the_budget,
    opens_the_known_edges_only,
    reaches_outside_for_its_needs_only,
    is_applied_in_phases,
    is_behind_what_it_believes,
]
