"""Mistakes in k8s/, each with the check that must find it."""

from collections.abc import Callable

from tests.deploy.kubernetes import (
    COMPONENT,
    PHASE,
    Cluster,
    answers_on_its_port,
    has_settings_it_understands,
    is_applied_in_phases,
    is_behind_what_it_believes,
    is_valid_to_the_letter,
    keeps_the_budget,
    may_do_little,
    names_servers_that_are_there,
    opens_the_known_edges_only,
    pod_of,
    reaches_outside_for_its_needs_only,
    runs_every_app,
    stops_in_order,
    survives_a_node,
    uses_its_own_secrets,
)
from tests.deploy.kustomize import Resource
from tests.deploy.manifests import Complaints

Change = Callable[[Cluster], object]


def _container(cluster: Cluster, name: str) -> Resource:
    return pod_of(cluster, name)["spec"]["containers"][0]


def _without(cluster: Cluster, kind: str, name: str) -> None:
    cluster.resources.remove(cluster.of(kind)[name])


def _drop(name: str, variable: str) -> Change:
    def change(cluster: Cluster) -> None:
        container = _container(cluster, name)
        container["env"] = [each for each in container["env"] if each["name"] != variable]

    return change


def _give(name: str, variable: str, value: str) -> Change:
    return lambda cluster: _container(cluster, name)["env"].append({"name": variable, "value": value})


def _rule(name: str) -> Callable[[Cluster], Resource]:
    return lambda cluster: cluster.of("NetworkPolicy")[name]["spec"]


MISTAKES: dict[str, tuple[Change, Callable[[Cluster], Complaints]]] = {
    "a misspelt field": (lambda c: _container(c, "auth").update(redinessProbe={}), is_valid_to_the_letter),
    "a string for a number": (
        lambda c: c.of("Deployment")["auth-worker"]["spec"].update(replicas="1"),
        is_valid_to_the_letter,
    ),
    "no worker": (lambda c: _without(c, "Deployment", "school-worker"), runs_every_app),
    "a foreign image": (lambda c: _container(c, "auth").update(image="homeroom-school:1"), runs_every_app),
    "an API that migrates": (lambda c: _container(c, "auth").update(args=["migrate"]), runs_every_app),
    "another port": (_give("academic", "PORT", "3004"), answers_on_its_port),
    "no readiness": (lambda c: _container(c, "auth").pop("readinessProbe"), answers_on_its_port),
    "a name for the wrong pods": (
        lambda c: c.of("Service")["auth"]["spec"]["selector"].update({COMPONENT: "worker"}),
        answers_on_its_port,
    ),
    "a missing setting": (_drop("academic", "SCHOOL_URL"), has_settings_it_understands),
    "a misspelt setting": (_give("gateway", "REPLICA", "3"), has_settings_it_understands),
    "an ingredient that is not there": (_drop("auth", "REDIS_PASSWORD"), has_settings_it_understands),
    "a server that is not there": (
        _give("academic", "SCHOOL_URL", "http://schools:3002"),
        names_servers_that_are_there,
    ),
    "a call that topology does not know": (
        _give("notification", "AUTH_URL", "http://academic:3003"),
        names_servers_that_are_there,
    ),
    "a committed secret": (
        lambda c: c.resources.append({"kind": "Secret", "metadata": {"name": "homeroom"}}),
        uses_its_own_secrets,
    ),
    "a foreign role": (
        _give("auth", "DATABASE_URL", "postgresql://school_app:x@postgres:5432/homeroom"),
        uses_its_own_secrets,
    ),
    "a foreign password": (
        lambda c: _container(c, "school")["env"].append(
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "homeroom", "key": "AUTH_OWNER_PASSWORD"}}}
        ),
        uses_its_own_secrets,
    ),
    "root": (lambda c: pod_of(c, "auth")["spec"]["securityContext"].pop("runAsNonRoot"), may_do_little),
    "a writable image": (
        lambda c: _container(c, "auth")["securityContext"].update(readOnlyRootFilesystem=False),
        may_do_little,
    ),
    "a capability": (
        lambda c: _container(c, "auth")["securityContext"].update(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
        may_do_little,
    ),
    "no limit of memory": (lambda c: _container(c, "auth")["resources"].pop("limits"), may_do_little),
    "variables of the cluster": (lambda c: pod_of(c, "auth")["spec"].pop("enableServiceLinks"), may_do_little),
    "a kill in the middle of a stop": (
        lambda c: pod_of(c, "auth")["spec"].update(terminationGracePeriodSeconds=60),
        stops_in_order,
    ),
    "a stop while still asked": (lambda c: _container(c, "auth").pop("lifecycle"), stops_in_order),
    "a drain of a second": (
        lambda c: c.of("ConfigMap")["common"]["data"].update(DRAIN_S="1"),
        stops_in_order,
    ),
    "no budget of disruption": (lambda c: _without(c, "PodDisruptionBudget", "gateway"), survives_a_node),
    "two gateways": (
        lambda c: c.of("HorizontalPodAutoscaler")["gateway"]["spec"].update(minReplicas=2),
        survives_a_node,
    ),
    "more gateways than the quotas know of": (
        lambda c: c.of("HorizontalPodAutoscaler")["gateway"]["spec"].update(maxReplicas=9),
        survives_a_node,
    ),
    "one node for all": (lambda c: pod_of(c, "auth")["spec"].pop("topologySpreadConstraints"), survives_a_node),
    "a fourth API": (
        lambda c: c.of("HorizontalPodAutoscaler")["academic"]["spec"].update(maxReplicas=4),
        keeps_the_budget,
    ),
    "new pods before old ones go": (
        lambda c: c.of("Deployment")["academic"]["spec"]["strategy"]["rollingUpdate"].update(maxSurge=2),
        keeps_the_budget,
    ),
    "nothing denied": (lambda c: _without(c, "NetworkPolicy", "nothing-by-default"), opens_the_known_edges_only),
    "a missing edge of a caller": (lambda c: _rule("calls-of-academic")(c)["egress"].pop(), opens_the_known_edges_only),
    "a missing edge of a callee": (
        lambda c: _rule("callers-of-school")(c)["ingress"][0]["from"].pop(),
        opens_the_known_edges_only,
    ),
    "an edge too many": (
        lambda c: [
            _rule("calls-of-school")(c).update(podSelector={}),
            _rule("callers-of-auth")(c).update(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 3001}]}]),
        ],
        opens_the_known_edges_only,
    ),
    "a wrong port of an edge": (
        lambda c: _rule("callers-of-auth")(c)["ingress"][0]["ports"][0].update(port=3002),
        opens_the_known_edges_only,
    ),
    "everybody outside": (
        lambda c: c.resources.append(
            {
                "kind": "NetworkPolicy",
                "metadata": {"name": "careless"},
                "spec": {
                    "podSelector": {},
                    "policyTypes": ["Egress"],
                    "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 22}]}],
                },
            }
        ),
        reaches_outside_for_its_needs_only,
    ),
    "an app with the settings": (
        lambda c: c.of("Deployment")["auth"]["metadata"]["labels"].update({PHASE: "config"}),
        is_applied_in_phases,
    ),
    "a proxy that is not there": (
        lambda c: c.of("ConfigMap")["gateway"]["data"].update(TRUSTED_PROXY_HOPS="2"),
        is_behind_what_it_believes,
    ),
    "any version": (lambda c: _container(c, "auth").update(image="homeroom-auth:latest"), is_behind_what_it_believes),
}
