"""Mistakes in who may talk to whom in k8s/, each with the check that must find it."""

from collections.abc import Callable

from tests.deploy.cluster import NAME, Cluster
from tests.deploy.kubernetes_mistakes import Mistakes, without
from tests.deploy.kubernetes_network import (
    leads_names_to_their_pods,
    opens_the_known_edges_only,
    owns_its_pods,
    reaches_outside_for_its_needs_only,
)
from tests.deploy.kustomize import Resource


def _rule(name: str) -> Callable[[Cluster], Resource]:
    return lambda cluster: cluster.of("NetworkPolicy")[name]["spec"]


MISTAKES: Mistakes = {
    "nothing denied": (without("NetworkPolicy", "nothing-by-default"), opens_the_known_edges_only),
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
    "no names": (without("NetworkPolicy", "names"), opens_the_known_edges_only),
    "names at another port": (
        lambda c: [each.update(port=54) for each in _rule("names")(c)["egress"][0]["ports"]],
        opens_the_known_edges_only,
    ),
    "names by TCP only": (lambda c: _rule("names")(c)["egress"][0]["ports"].pop(0), opens_the_known_edges_only),
    "everything that gives names to others": (
        lambda c: _rule("names")(c)["egress"][0]["to"][0].pop("podSelector"),
        opens_the_known_edges_only,
    ),
    "nobody who watches": (lambda c: _rule("watching")(c).pop("ingress"), opens_the_known_edges_only),
    "a name for a port that nobody has": (
        lambda c: c.of("Service")["auth"]["spec"]["ports"][0].update(targetPort="htpp"),
        leads_names_to_their_pods,
    ),
    "a name for a number that nobody listens on": (
        lambda c: c.of("Service")["auth"]["spec"]["ports"][0].update(targetPort=3002),
        leads_names_to_their_pods,
    ),
    "a name for the worker too": (
        lambda c: c.of("Service")["auth"]["spec"].update(selector={NAME: "auth"}),
        leads_names_to_their_pods,
    ),
    "pods that nobody owns": (
        lambda c: c.of("Deployment")["auth"]["spec"]["selector"]["matchLabels"].update({NAME: "other"}),
        owns_its_pods,
    ),
    "pods that two own": (
        lambda c: c.of("Deployment")["auth"]["spec"]["selector"].update(matchLabels={NAME: "auth"}),
        owns_its_pods,
    ),
}
