"""Network policies as a cluster enforces them, played for any two pods."""

from collections.abc import Mapping
from typing import Any

from tests.deploy.kustomize import Resource


class Pod:
    """Somebody at one end of a connection; in another namespace when it is named `namespace/name`."""

    def __init__(
        self,
        labels: Mapping[str, str],
        ports: Mapping[str, int],
        namespace: str = "homeroom",
        protocol: str = "TCP",
    ) -> None:
        self.labels = labels
        self.ports = ports
        self.namespace = namespace
        self.protocol = protocol


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def admits(rules: list[Resource], side: str, other: Pod, port: int, target: Pod) -> bool:
    for rule in rules:
        numbers = {
            target.ports.get(str(each["port"]), each["port"])
            for each in rule["ports"]
            if each.get("protocol", "TCP") == target.protocol
        }
        for peer in rule[side]:
            namespace = peer.get("namespaceSelector")
            there = (
                namespace["matchLabels"]["kubernetes.io/metadata.name"] == other.namespace
                if namespace
                else other.namespace == "homeroom"
            )
            if (
                port in numbers
                and there
                and "ipBlock" not in peer
                and selects(peer.get("podSelector", {}), other.labels)
            ):
                return True
    return False


def may_talk(policies: list[Resource], source: Pod, target: Pod, port: int) -> bool:
    def rules(pod: Pod, kind: str) -> list[Resource]:
        chosen = [each["spec"] for each in policies if kind in each["spec"]["policyTypes"]]
        return [
            rule for spec in chosen if selects(spec["podSelector"], pod.labels) for rule in spec.get(kind.lower(), ())
        ]

    leaves = source.namespace != "homeroom" or admits(rules(source, "Egress"), "to", target, port, target)
    enters = target.namespace != "homeroom" or admits(rules(target, "Ingress"), "from", source, port, target)
    return leaves and enters
