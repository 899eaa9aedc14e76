"""The checks of what a container of k8s/ may do, is given, and is asked."""

from collections.abc import Iterator

from tests.deploy import manifests
from tests.deploy.cluster import Cluster
from tests.deploy.kustomize import Resource
from tests.deploy.manifests import LEAST_MIB, Complaints, mib

SECRET = "homeroom"
MADE = {"emptyDir", "configMap"}
"""What a volume may be made of: nothing of the machine's own, and nothing that only one machine has."""


def may_do_little(cluster: Cluster) -> Complaints:
    for name, pod in cluster.workloads().items():
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


def shares_nothing_with_its_node(cluster: Cluster) -> Complaints:
    for name, pod in cluster.workloads().items():
        spec = pod["spec"]
        if spec.get("hostNetwork") or spec.get("hostPID") or spec.get("hostIPC"):
            yield f"{name} shares what is the node's"
        if any("hostPort" in port for port in spec["containers"][0].get("ports", ())):
            yield f"{name} takes a port of its node"
        for volume in spec.get("volumes", ()):
            if not volume.keys() - {"name"} <= MADE:
                yield f"{name} mounts {sorted(volume.keys() - {'name'})}"


def mounts_what_it_has(cluster: Cluster) -> Complaints:
    claims = {
        name: {claim["metadata"]["name"] for claim in each["spec"].get("volumeClaimTemplates", ())}
        for name, each in cluster.of("StatefulSet").items()
    }
    for name, pod in cluster.workloads().items():
        volumes = {each["name"] for each in pod["spec"].get("volumes", ())} | claims.get(name, set())
        mounts = pod["spec"]["containers"][0].get("volumeMounts", ())
        mounted = {each["name"] for each in mounts}
        if volumes != mounted:
            yield f"{name} has the volumes {sorted(volumes)} and mounts {sorted(mounted)}"
        if "/tmp" not in {each["mountPath"] for each in mounts}:
            yield f"{name} can write nowhere"


def _named(pod: Resource) -> Iterator[tuple[str, str, str]]:
    """Kind, name and key ("": all) of what a pod is given from elsewhere."""
    container = pod["spec"]["containers"][0]
    for source in container.get("envFrom", ()):
        yield "ConfigMap", source["configMapRef"]["name"], ""
    for variable in container.get("env", ()):
        for kind in variable.get("valueFrom", {}):
            named = variable["valueFrom"][kind]
            yield {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}[kind], named["name"], named["key"]
    paths = {each["name"]: each.get("subPath", "") for each in container.get("volumeMounts", ())}
    for volume in pod["spec"].get("volumes", ()):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], paths.get(volume["name"], "")


def names_what_it_is_given(cluster: Cluster) -> Complaints:
    given = {("ConfigMap", name): resource["data"].keys() for name, resource in cluster.of("ConfigMap").items()}
    given["Secret", SECRET] = cluster.secrets.keys()
    for name, pod in cluster.workloads().items():
        for kind, named, key in _named(pod):
            if (kind, named) not in given:
                yield f"{name} is given the {kind} {named}, which is not there"
            elif key and key not in given[kind, named]:
                yield f"{name} is given {key} of the {kind} {named}, which is not in it"


def _takes_s(probe: Resource) -> float:
    """How long it may be until a probe draws its conclusion."""
    return probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)


def is_asked_often_and_killed_late(cluster: Cluster) -> Complaints:
    for name, pod in cluster.workloads().items():
        container = pod["spec"]["containers"][0]
        if "ports" not in container:
            continue
        ready, live = container.get("readinessProbe", {"periodSeconds": 3600}), container.get("livenessProbe")
        if _takes_s(ready) > 30 or ready.get("periodSeconds", 10) > 10:
            yield f"{name} is asked long after it has stopped answering"
        if live and not 30 <= _takes_s(live) <= 120:
            yield f"{name} is killed when it has not answered for {_takes_s(live)} s"
        if live and live.get("timeoutSeconds", 1) < 3:
            yield f"{name} is killed for being busy"
        if live and not 30 <= _takes_s(container.get("startupProbe", {})) <= 120:
            yield f"{name} is given another time to start"


def has_room(cluster: Cluster) -> Complaints:
    components = {name: component for name, _, component, _ in cluster.ours()}
    for name, pod in cluster.workloads().items():
        resources = pod["spec"]["containers"][0].get("resources", {})
        asked, most = resources.get("requests", {}), resources.get("limits", {})
        if not {"cpu", "memory"} <= asked.keys() or "memory" not in most:
            yield f"{name} has no limits"
        elif mib(most["memory"]) < mib(asked["memory"]):
            yield f"{name} asks for more than it may have"
        elif mib(most["memory"]) < LEAST_MIB.get(components.get(name, ""), 0):
            yield f"{name} cannot live in {most['memory']}"


def ends_its_migrations(cluster: Cluster) -> Complaints:
    for name, job in cluster.of("Job").items():
        spec = job["spec"]
        if not 60 <= spec.get("activeDeadlineSeconds", 0) <= 3600:
            yield f"{name} is waited for for ever"
        if not 1 <= spec.get("backoffLimit", 6) <= 10 or spec["template"]["spec"]["restartPolicy"] != "Never":
            yield f"{name} is not tried again, or without an end"


CHECKS = [
    may_do_little,
    shares_nothing_with_its_node,
    mounts_what_it_has,
    names_what_it_is_given,
    is_asked_often_and_killed_late,
    has_room,
    stops_in_order,
    ends_its_migrations,
]
