"""What k8s/ comes to: the resources of an overlay, and what each pod of it finds."""

import re
from collections.abc import Iterable, Iterator, Mapping

from tests.deploy.kustomize import Resource
from tests.deploy.manifests import mib
from tests.deploy.servers import House, Server
from tools.topology import GATEWAY, SERVICES, Need

OVERLAYS = ("local", "production")
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
PHASE = "homeroom.example/phase"
WORKER_PORT = 9000
SERVERS: Mapping[Need, tuple[str, ...]] = {
    "postgres": ("postgres", "postgres-replica"),
    "redis": ("redis",),
    "bus": ("rabbitmq",),
    "object store": ("object-store",),
    "virus scanner": ("clamd",),
    "smtp": ("mail",),
}
OUTSIDE: Mapping[Need, int] = {
    "postgres": 5432,
    "redis": 6379,
    "bus": 5671,
    "object store": 443,
    "virus scanner": 3310,
    "smtp": 465,
}
SERVERS_OUTSIDE: Mapping[str, int] = {"clamd": 443}
"""Which server fetches something from outside, by which port."""
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
        self.secrets = secrets

    def of(self, kind: str) -> dict[str, Resource]:
        return {each["metadata"]["name"]: each for each in self.resources if each["kind"] == kind}

    def ours(self) -> Iterator[tuple[str, str, str, Resource]]:
        """Name, app, component and pod of each workload of ours."""
        for kind in ("Deployment", "Job"):
            for name, resource in self.of(kind).items():
                pod = resource["spec"]["template"]
                labels = pod["metadata"]["labels"]
                yield name, labels[NAME], labels[COMPONENT], pod

    def workloads(self) -> dict[str, Resource]:
        """The pod of each workload, of the servers too."""
        kinds = ("Deployment", "Job", "StatefulSet")
        return {name: each["spec"]["template"] for kind in kinds for name, each in self.of(kind).items()}

    def config(self, name: str) -> dict[str, str]:
        return self.of("ConfigMap").get(name, {}).get("data", {})

    def env(self, pod: Resource) -> tuple[dict[str, str], set[str]]:
        """What a container finds, and which of it is only there to make up the rest."""
        container = pod["spec"]["containers"][0]
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= self.config(source["configMapRef"]["name"])
        parts: set[str] = set()
        for variable in container.get("env", ()):
            if "value" in variable:
                parts |= set(re.findall(r"\$\(([A-Z0-9_]+)\)", variable["value"]))
                value = re.sub(r"\$\(([A-Z0-9_]+)\)", lambda match: found.get(match[1], match[0]), variable["value"])
            else:
                value = self.secrets.get(variable["valueFrom"]["secretKeyRef"]["key"], "")
            found[variable["name"]] = value
        return found, parts

    def settings_env(self, pod: Resource) -> dict[str, str]:
        found, parts = self.env(pod)
        unused = {"POSTGRES_REPLICA"}  # a worker, and a migration, have no use for it
        return {name: value for name, value in found.items() if name not in parts | unused}

    def house(self) -> House:
        return House(
            servers={name: self._server(resource["spec"]) for name, resource in self.of("StatefulSet").items()},
            clients={name: self.settings_env(pod) for name, _, _, pod in self.ours()},
        )

    def _server(self, spec: Resource) -> Server:
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        mounts = container.get("volumeMounts", ())
        claimed = {each["metadata"]["name"] for each in spec.get("volumeClaimTemplates", ())}
        empty = {each["name"] for each in pod.get("volumes", ()) if "emptyDir" in each}
        return Server(
            image=container["image"],
            words=(*container.get("command", ()), *container.get("args", ())),
            env=self.env(spec["template"])[0],
            kept=frozenset(mount["mountPath"] for mount in mounts if mount["name"] in claimed),
            written=frozenset(mount["mountPath"] for mount in mounts if mount["name"] in empty),
            files=self._files(pod, mounts),
            memory_mib=mib(container["resources"]["limits"]["memory"]),
        )

    def _files(self, pod: Resource, mounts: Iterable[Resource]) -> dict[str, str]:
        maps = {each["name"]: each["configMap"]["name"] for each in pod.get("volumes", ()) if "configMap" in each}
        found: dict[str, str] = {}
        for mount in mounts:
            data, path = self.config(maps.get(mount["name"], "")), mount["mountPath"]
            part = mount.get("subPath")
            found |= {path if part else f"{path}/{name}": text for name, text in data.items() if part in {None, name}}
        return found


def pod_of(cluster: Cluster, deployment: str) -> Resource:
    return cluster.of("Deployment")[deployment]["spec"]["template"]
