"""The checks of who may talk to whom in k8s/, and by which name."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.app import create_app
from gateway.docs import FILES
from gateway.routes import API, KEYS_PATH, SERVICE_OF
from gateway.settings import Settings
from tests.deploy import manifests
from tests.deploy.cluster import COMPONENT, NAME, OUTSIDE, SERVERS, SERVERS_OUTSIDE, Cluster, pod_of
from tests.deploy.kustomize import Resource
from tests.deploy.manifests import APPS, Complaints
from tests.deploy.policies import Pod, may_talk, selects
from tools.topology import CALLS, Need

NAMES = "kube-system"
ANNOTATION = "nginx.ingress.kubernetes.io/proxy-"

INGRESS_IDLE_S = 60
"""How long ingress-nginx keeps a connection to a gateway (`upstream-keepalive-timeout`)."""


def ports_of(pod: Resource) -> dict[str, int]:
    return {each["name"]: each["containerPort"] for each in pod["spec"]["containers"][0].get("ports", ())}


def pods_of(cluster: Cluster) -> dict[str, Pod]:
    found = {name: Pod(pod["metadata"]["labels"], ports_of(pod)) for name, pod in cluster.workloads().items()}
    return {
        **found,
        "monitoring": Pod({}, {"otlp": 4318}, "monitoring"),
        "ingress": Pod({}, {}, "ingress-nginx"),
        "stranger": Pod({NAME: "auth", COMPONENT: "api"}, {}, "default"),
        "names by UDP": Pod({"k8s-app": "kube-dns"}, {"dns": 53}, NAMES, "UDP"),
        "names by TCP": Pod({"k8s-app": "kube-dns"}, {"dns": 53}, NAMES),
        "a neighbour of the names": Pod({"k8s-app": "etcd"}, {"other": 53}, NAMES),
    }


def expected_edges(cluster: Cluster) -> set[tuple[str, str]]:
    ours = {name: (app, component) for name, app, component, _ in cluster.ours()}
    running = {name: of for name, of in ours.items() if of[1] != "migration"}
    called = {(call.caller, call.callee) for call in CALLS}
    edges = {(name, callee) for name, (app, _) in running.items() for caller, callee in called if caller == app}
    edges |= {("monitoring", name) for name in running} | {(name, "monitoring") for name in ours}
    edges |= {(name, f"names by {protocol}") for name in cluster.workloads() for protocol in ("UDP", "TCP")}
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


def ports_outside(cluster: Cluster, pod: Resource) -> set[int]:
    return {
        port["port"]
        for policy in cluster.of("NetworkPolicy").values()
        if selects(policy["spec"]["podSelector"], pod["metadata"]["labels"])
        for rule in policy["spec"].get("egress", ())
        for peer in rule["to"]
        for port in rule["ports"]
        if "ipBlock" in peer
    }


def reaches_outside_for_its_needs_only(cluster: Cluster) -> Complaints:
    for name in cluster.of("StatefulSet"):
        found = ports_outside(cluster, cluster.workloads()[name])
        if found != {SERVERS_OUTSIDE[each] for each in {name} & SERVERS_OUTSIDE.keys()}:
            yield f"{name} reaches ports {sorted(found)} outside"
    for name, app, component, pod in cluster.ours():
        found = ports_outside(cluster, pod)
        needs: set[Need] = {"postgres"} if component == "migration" else set(APPS[app].needs)
        expected = {OUTSIDE[need] for need in needs} if cluster.overlay == "production" else set[int]()
        if found != expected:
            yield f"{name} reaches ports {sorted(found)} outside, not {sorted(expected)}"


def chosen_by(cluster: Cluster, labels: dict[str, str]) -> set[str]:
    return {
        name for name, pod in cluster.workloads().items() if selects({"matchLabels": labels}, pod["metadata"]["labels"])
    }


def owns_its_pods(cluster: Cluster) -> Complaints:
    for kind in ("Deployment", "StatefulSet"):
        for name, resource in cluster.of(kind).items():
            chosen = chosen_by(cluster, resource["spec"]["selector"]["matchLabels"])
            if chosen != {name}:
                yield f"{kind} {name} takes the pods of {sorted(chosen)} for its own"


def leads_names_to_their_pods(cluster: Cluster) -> Complaints:
    pods, services = cluster.workloads(), cluster.of("Service")
    for name, service in services.items():
        chosen = chosen_by(cluster, service["spec"]["selector"])
        if chosen != {name}:
            yield f"the name {name} leads to {sorted(chosen)}"
            continue
        ports = ports_of(pods[name])
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if target not in {*ports, *ports.values()}:
                yield f"the name {name} leads to port {target}, which nobody listens on"
    for name, resource in cluster.of("StatefulSet").items():
        if resource["spec"]["serviceName"] not in services:
            yield f"{name} stands behind {resource['spec']['serviceName']}, which is not there"


def lets_the_outside_in(cluster: Cluster) -> Complaints:
    if cluster.overlay != "production":
        return
    if len(cluster.of("Ingress")) != 1:
        yield f"{len(cluster.of('Ingress'))} ways in"
    for ingress in cluster.of("Ingress").values():
        yield from _serves_its_hosts(cluster, ingress)
        yield from _shows_what_is_public(cluster, ingress)
        yield from _is_as_patient_as_the_gateway(cluster, ingress)


def _backends(ingress: Resource) -> Iterator[Resource]:
    for rule in ingress["spec"]["rules"]:
        yield from (path["backend"]["service"] for path in rule["http"]["paths"])


def _serves_its_hosts(cluster: Cluster, ingress: Resource) -> Complaints:
    spec = ingress["spec"]
    hosts = {rule["host"] for rule in spec["rules"]}
    sealed = {host for each in spec.get("tls", ()) if each.get("secretName") for host in each["hosts"]}
    if hosts - sealed:
        yield f"{sorted(hosts - sealed)} without TLS"
    public = urlsplit(cluster.config("services")["PUBLIC_URL"])
    if public.scheme != "https" or public.hostname not in hosts:
        yield f"links in mails lead to {public.geturl()}"
    for backend in _backends(ingress):
        ports = cluster.of("Service").get(backend["name"], {}).get("spec", {}).get("ports", ())
        known = {each[key] for each in ports for key in ("name", "port")}
        if backend["name"] != "gateway" or not known & set(backend["port"].values()):
            yield f"the way in leads to {backend}"


HIDDEN = ("/metrics", "/metrics/")
"""For who watches inside, and past every quota; with a slash at its end it is the same to the gateway."""


def _public(cluster: Cluster) -> set[str]:
    """A path of each kind that the gateway has for the outside."""
    gateway = create_app(manifests.load(Settings, cluster.settings_env(pod_of(cluster, "gateway"))))
    # The routes that are public are those of the application itself, which no other name leads to.
    house = gateway._front.house  # pyright: ignore[reportPrivateUsage] (what it answers by itself is nobody else's)
    by_itself = {route.path.replace("{name:str}", name) for route in house.routes for name in FILES} - {*HIDDEN}
    return by_itself | {f"{API}{prefix}" for prefix in SERVICE_OF} | {f"{API}students/1", KEYS_PATH}


def _leads_to(way: Resource, path: str) -> bool:
    """As the specification of an Ingress says: a prefix is one of whole segments."""
    named = way["path"].rstrip("/")
    return path == way["path"] or (way["pathType"] != "Exact" and (path == named or path.startswith(f"{named}/")))


def _shows_what_is_public(cluster: Cluster, ingress: Resource) -> Complaints:
    for rule in ingress["spec"]["rules"]:
        ways = rule["http"]["paths"]
        shown = {path for path in (*HIDDEN, *_public(cluster)) if any(_leads_to(way, path) for way in ways)}
        yield from (f"{path} is shown to everybody" for path in sorted(shown & {*HIDDEN}))
        yield from (f"no way leads to {path}" for path in sorted(_public(cluster) - shown))
        yield from (
            f"{way['path']} is whatever its controller takes it for"
            for way in ways
            if way["pathType"] not in {"Exact", "Prefix"}
        )
    if "defaultBackend" in ingress["spec"]:
        yield "what has no way of its own leads somewhere"


def _is_as_patient_as_the_gateway(cluster: Cluster, ingress: Resource) -> Complaints:
    said = ingress["metadata"].get("annotations", {})
    gateway = manifests.load(Settings, cluster.settings_env(pod_of(cluster, "gateway")))
    body_mib = manifests.mib(said.get(f"{ANNOTATION}body-size", "1m").upper())
    if body_mib * 1024 * 1024 < gateway.import_body_bytes:
        yield f"a roster of more than {body_mib} MiB is refused"
    if float(said.get(f"{ANNOTATION}read-timeout", "60")) <= gateway.import_deadline_s:
        yield "an import is given up before it ends"
    if gateway.keep_alive_s <= INGRESS_IDLE_S:
        yield "a request meets a connection that is just being closed"


CHECKS = [
    owns_its_pods,
    leads_names_to_their_pods,
    opens_the_known_edges_only,
    reaches_outside_for_its_needs_only,
    lets_the_outside_in,
]
