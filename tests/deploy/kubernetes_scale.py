"""The checks of how many there are in k8s/: when work comes, when a node goes, and against the budget."""

from tests.deploy import manifests
from tests.deploy.cluster import COMPONENT, DEPLOYMENTS, NAME, Cluster, pod_of
from tests.deploy.manifests import CONNECTIONS, Complaints


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
    for name, (app, _) in DEPLOYMENTS.items():
        strategy = cluster.of("Deployment")[name]["spec"]["strategy"]
        gone = strategy.get("rollingUpdate", {}).get("maxUnavailable")
        if strategy.get("type") != "RollingUpdate" or gone != (0 if app == "gateway" else 1):
            yield f"{gone} of {name} may be gone at once while it is rolled out"


CHECKS = [
    survives_a_node,
    grows_with_its_work,
    is_replaced_one_by_one,
    keeps_the_budget,
]
