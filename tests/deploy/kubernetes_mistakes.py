"""Mistakes in the pods of k8s/, and in how many there are, each with the check that must find it."""

from collections.abc import Callable

from tests.deploy.cluster import COMPONENT, PHASE, Cluster, pod_of
from tests.deploy.kubernetes import (
    answers_on_its_port,
    has_settings_it_understands,
    is_applied_in_phases,
    is_behind_what_it_believes,
    is_valid_to_the_letter,
    names_servers_that_are_there,
    reads_from_the_replica,
    runs_every_app,
    uses_its_own_secrets,
)
from tests.deploy.kubernetes_pods import (
    ends_its_migrations,
    has_room,
    is_asked_often_and_killed_late,
    may_do_little,
    mounts_what_it_has,
    names_what_it_is_given,
    shares_nothing_with_its_node,
    stops_in_order,
)
from tests.deploy.kubernetes_scale import (
    grows_with_its_work,
    is_replaced_one_by_one,
    keeps_the_budget,
    replaces_one_when_another_has_gone,
    survives_a_node,
)
from tests.deploy.kustomize import Resource
from tests.deploy.manifests import Complaints

Change = Callable[[Cluster], object]
Mistakes = dict[str, tuple[Change, Callable[[Cluster], Complaints]]]


def _container(cluster: Cluster, name: str) -> Resource:
    return pod_of(cluster, name)["spec"]["containers"][0]


def without(kind: str, name: str) -> Change:
    return lambda cluster: cluster.resources.remove(cluster.of(kind)[name])


def _drop(name: str, variable: str) -> Change:
    def change(cluster: Cluster) -> None:
        container = _container(cluster, name)
        container["env"] = [each for each in container["env"] if each["name"] != variable]

    return change


def _give(name: str, variable: str, value: str) -> Change:
    return lambda cluster: _container(cluster, name)["env"].append({"name": variable, "value": value})


def _scaler(cluster: Cluster, name: str) -> Resource:
    return cluster.of("HorizontalPodAutoscaler")[name]["spec"]


def _rolls(name: str, **how: object) -> Change:
    return lambda c: c.of("Deployment")[name]["spec"]["strategy"]["rollingUpdate"].update(how)


def _asks(probe: str, **how: int) -> Change:
    return lambda c: _container(c, "auth")[probe].update(how)


def _names(cluster: Cluster, kind: str, name: str) -> None:
    """Everything that the pod of auth is given of that kind, under another name."""
    container = _container(cluster, "auth")
    for each in (*container["envFrom"], *(each.get("valueFrom", {}) for each in container["env"])):
        if kind in each:
            each[kind]["name"] = name


def _reads(name: str, address: str) -> Change:
    def change(cluster: Cluster) -> None:
        for each in _container(cluster, name)["env"]:
            if each["name"] == "DATABASE_READ_URL":
                each["value"] = each["value"].replace("$(POSTGRES_REPLICA)", address)

    return change


MISTAKES: Mistakes = {
    "a misspelt field": (lambda c: _container(c, "auth").update(redinessProbe={}), is_valid_to_the_letter),
    "a string for a number": (
        lambda c: c.of("Deployment")["auth-worker"]["spec"].update(replicas="1"),
        is_valid_to_the_letter,
    ),
    "no worker": (without("Deployment", "school-worker"), runs_every_app),
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
    "no limit of memory": (lambda c: _container(c, "auth")["resources"].pop("limits"), has_room),
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
    "no budget of disruption": (without("PodDisruptionBudget", "gateway"), survives_a_node),
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
    "a new worker beside the old one": (
        lambda c: c.of("Deployment")["academic-worker"]["spec"].update(
            strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
        ),
        keeps_the_budget,
    ),
    "a worker that is replaced before it has ended": (
        lambda c: c.of("Deployment")["auth-worker"]["spec"].update(
            strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
        ),
        is_replaced_one_by_one,
    ),
    "two APIs that stop at once": (_rolls("academic", maxUnavailable=2), keeps_the_budget),
    "the next one at once": (
        lambda c: c.of("Deployment")["auth"]["spec"].pop("minReadySeconds"),
        replaces_one_when_another_has_gone,
    ),
    "the next one while the last still drains": (
        lambda c: c.of("ConfigMap")["common"]["data"].update(DRAIN_S="20"),
        replaces_one_when_another_has_gone,
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
    "a mount of nothing": (lambda c: pod_of(c, "auth")["spec"].update(volumes=[]), mounts_what_it_has),
    "nowhere to write": (lambda c: _container(c, "auth").update(volumeMounts=[]), mounts_what_it_has),
    "neither a volume nor a mount": (
        lambda c: [_container(c, "auth").pop("volumeMounts"), pod_of(c, "auth")["spec"].pop("volumes")],
        mounts_what_it_has,
    ),
    "another secret": (lambda c: _names(c, "secretKeyRef", "homeruum"), names_what_it_is_given),
    "another key of the secret": (
        lambda c: c.of("Job")["auth-migrate"]["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"][
            "secretKeyRef"
        ].update(key="AUTH_OWNERS_PASSWORD"),
        names_what_it_is_given,
    ),
    "other settings": (lambda c: _names(c, "configMapRef", "commons"), names_what_it_is_given),
    "the network of the node": (
        lambda c: pod_of(c, "auth")["spec"].update(hostNetwork=True),
        shares_nothing_with_its_node,
    ),
    "a folder of the node": (
        lambda c: pod_of(c, "auth")["spec"]["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        shares_nothing_with_its_node,
    ),
    "a port of the node": (
        lambda c: _container(c, "gateway")["ports"][0].update(hostPort=80),
        shares_nothing_with_its_node,
    ),
    "readiness every five minutes": (_asks("readinessProbe", periodSeconds=300), is_asked_often_and_killed_late),
    "readiness that never ends": (_asks("readinessProbe", failureThreshold=99), is_asked_often_and_killed_late),
    "a kill after a second": (
        _asks("livenessProbe", periodSeconds=1, failureThreshold=1),
        is_asked_often_and_killed_late,
    ),
    "a kill of who is busy": (_asks("livenessProbe", timeoutSeconds=1), is_asked_often_and_killed_late),
    "a second to start": (
        _asks("startupProbe", periodSeconds=1, failureThreshold=1),
        is_asked_often_and_killed_late,
    ),
    "less memory than it asks for": (
        lambda c: _container(c, "auth")["resources"].update(limits={"memory": "1Mi"}),
        has_room,
    ),
    "memory for half a process": (
        lambda c: _container(c, "auth").update(
            resources={"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}
        ),
        has_room,
    ),
    "a worker that does not run": (
        lambda c: c.of("Deployment")["auth-worker"]["spec"].update(replicas=0),
        survives_a_node,
    ),
    "an eviction of all at once": (
        lambda c: c.of("PodDisruptionBudget")["auth"]["spec"].update(maxUnavailable="100%"),
        survives_a_node,
    ),
    "growth for no reason": (lambda c: _scaler(c, "auth").pop("metrics"), grows_with_its_work),
    "growth at a load that never comes": (
        lambda c: _scaler(c, "auth")["metrics"][0]["resource"]["target"].update(averageUtilization=400),
        grows_with_its_work,
    ),
    "growth downwards": (lambda c: _scaler(c, "auth").update(maxReplicas=1), grows_with_its_work),
    "growth of another kind": (
        lambda c: _scaler(c, "auth")["scaleTargetRef"].update(kind="StatefulSet"),
        grows_with_its_work,
    ),
    "growth of another": (lambda c: _scaler(c, "auth")["scaleTargetRef"].update(name="school"), grows_with_its_work),
    "all replaced at once": (_rolls("auth", maxUnavailable="100%"), is_replaced_one_by_one),
    "gateways gone before others come": (_rolls("gateway", maxSurge=0, maxUnavailable=3), is_replaced_one_by_one),
    "a migration without an end": (
        lambda c: c.of("Job")["auth-migrate"]["spec"].pop("activeDeadlineSeconds"),
        ends_its_migrations,
    ),
    "a migration that is never tried again": (
        lambda c: c.of("Job")["auth-migrate"]["spec"].update(backoffLimit=0),
        ends_its_migrations,
    ),
    "no replica": (_drop("auth", "DATABASE_READ_URL"), reads_from_the_replica),
    "reads from the primary": (_reads("auth", "$(POSTGRES)"), reads_from_the_replica),
    "a replica that is the primary": (
        lambda c: c.config("postgres").update(POSTGRES_REPLICA=c.config("postgres")["POSTGRES"]),
        reads_from_the_replica,
    ),
    "one client for all": (_drop("auth", "CLIENT_IP_HEADER"), is_behind_what_it_believes),
}
