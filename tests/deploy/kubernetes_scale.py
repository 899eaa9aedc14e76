"""The checks of how many there are in k8s/: when work comes, when a node goes, and against the budget."""

from tests.deploy import manifests
from tests.deploy.cluster import COMPONENT, DEPLOYMENTS, NAME, Cluster, pod_of
from tests.deploy.manifests import CONNECTIONS, Complaints

STOPS_S = 5
"""An API ends within two seconds when it has nothing to finish."""


def survives_a_node(cluster: Cluster) -> Complaints:
    scalers, budgets = cluster.of("HorizontalPodAutoscaler"), cluster.of("PodDisruptionBudget")
    for name, (app, component) in DEPLOYMENTS.items():
        budget = budgets.get(name, {}).get("spec", {})
        selected = {NAME: app, COMPONENT: component}
        if budget.get("maxUnavailable") != 1 or budget["selector"]["matchLabels"] != selected:
            yield f"{name} may be evicted all at once"
        if component == "worker":
            if cluster.of("Deployment")[name]["spec"].get("replicas", 1) < 1:
                yield f"{name} does not run"
            continue
        least = 3 if app == "gateway" else 2
        if scalers.get(name, {}).get("spec", {}).get("minReplicas", 1) < least:
            yield f"{name} goes with its node"
        keys = {each["topologyKey"] for each in pod_of(cluster, name)["spec"].get("topologySpreadConstraints", ())}
        if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
            yield f"{name} may stand on one node"
        if "replicas" in cluster.of("Deployment")[name]["spec"]:
            yield f"{name} is shrunk by every roll-out"
    yield from (
        f"{name} does not run"
        for name, server in cluster.of("StatefulSet").items()
        if server["spec"].get("replicas", 1) < 1
    )
    most = scalers["gateway"]["spec"]["maxReplicas"]
    if cluster.settings_env(pod_of(cluster, "gateway"))["REPLICAS"] != str(most):
        yield "gateways admit more than the quotas while Redis is down"


def keeps_the_budget(cluster: Cluster) -> Complaints:
    """A pod that stops is counted by no deployment, and keeps its connections: one replaces it meanwhile. That is one
    pod at a time (`replaces_one_when_another_has_gone`, and roll-out.sh), and never while a migration runs.
    """
    total, beside = 0, [1]  # a migration at a time
    for name, (app, component) in DEPLOYMENTS.items():
        deployment = cluster.of("Deployment")[name]["spec"]
        scaler = cluster.of("HorizontalPodAutoscaler").get(name, {}).get("spec", {})
        replicas = scaler.get("maxReplicas", deployment.get("replicas"))
        each = manifests.connections(app, component, cluster.settings_env(deployment["template"]))
        rolling = deployment["strategy"].get("rollingUpdate")
        total += replicas * each
        if rolling:
            beside.append((rolling["maxSurge"] + rolling["maxUnavailable"]) * each)
    if total + max(beside) >= CONNECTIONS:
        yield f"{total} connections, and {max(beside)} of what stops"


def replaces_one_when_another_has_gone(cluster: Cluster) -> Complaints:
    """Long enough for a pod to stop that has nothing to finish."""
    for name, (app, component) in DEPLOYMENTS.items():
        if component == "worker":
            continue
        spec = cluster.of("Deployment")[name]["spec"]
        pod = spec["template"]
        waits_s = (
            pod["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )
        drains_s = manifests.load(manifests.settings_type(app), cluster.settings_env(pod)).drain_s
        if spec.get("minReadySeconds", 0) < waits_s + drains_s + STOPS_S:
            yield f"the next {name} is replaced while the one before still stops"


def grows_with_its_work(cluster: Cluster) -> Complaints:
    scalers = cluster.of("HorizontalPodAutoscaler")
    for name, (_, component) in DEPLOYMENTS.items():
        if component == "worker":
            continue
        spec = scalers.get(name, {}).get("spec", {})
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        if spec.get("scaleTargetRef") != target:
            yield f"{name} does not grow with its work"
        if spec.get("maxReplicas", 0) <= spec.get("minReplicas", 1):
            yield f"{name} cannot grow"
        targets = [each["resource"]["target"] for each in spec.get("metrics", ()) if each["type"] == "Resource"]
        if not targets or not all(0 < each.get("averageUtilization", 0) < 100 for each in targets):
            yield f"nothing says when {name} is to grow"


def is_replaced_one_by_one(cluster: Cluster) -> Complaints:
    """What may be gone at once stays below what must be there; the budget says what may come before."""
    for name, (app, component) in DEPLOYMENTS.items():
        strategy = cluster.of("Deployment")[name]["spec"]["strategy"]
        if component == "worker":
            if strategy != {"type": "Recreate"}:
                yield f"a new {name} comes before the old one has ended"
            continue
        gone = strategy.get("rollingUpdate", {}).get("maxUnavailable")
        if strategy.get("type") != "RollingUpdate" or gone != (0 if app == "gateway" else 1):
            yield f"{gone} of {name} may be gone at once while it is rolled out"


CHECKS = [
    survives_a_node,
    grows_with_its_work,
    is_replaced_one_by_one,
    replaces_one_when_another_has_gone,
    keeps_the_budget,
]
