"""What docker-compose.yml comes to: its services, and what each container of them finds."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.deploy.manifests import ROOT, interpolated, mib
from tests.deploy.servers import House, Server
from tools.topology import SERVICES, Need

COMPOSE = ROOT / "docker-compose.yml"
GATEWAYS = ("gateway-1", "gateway-2", "gateway-3")
WORKER_PORT = "9000"
SERVERS: Mapping[Need, tuple[str, ...]] = {
    "postgres": ("postgres", "postgres-replica"),
    "redis": ("redis",),
    "bus": ("rabbitmq",),
    "object store": ("object-store",),
    "virus scanner": ("clamd",),
    "smtp": ("mail",),
}
PUBLISHED = {"nginx", "mail", "grafana", "object-store"}
ROOTS = {"objects-volume", "signatures-volume"}
"""Each gives a new volume to the user of its server, and ends."""
OURS = {
    **dict.fromkeys(GATEWAYS, ("gateway", "api")),
    **{service.name: (service.name, "api") for service in SERVICES},
    **{f"{service.name}-worker": (service.name, "worker") for service in SERVICES},
    **{f"{service.name}-migrate": (service.name, "migrate") for service in SERVICES},
}
RUNNING = {name: ours for name, ours in OURS.items() if ours[1] != "migrate"}


class Compose:
    """The file, with made-up secrets put in."""

    def __init__(self, text: str, secrets: Mapping[str, str]) -> None:
        self.raw: dict[str, Any] = yaml.safe_load(text)
        self._secrets = secrets

    @property
    def services(self) -> dict[str, Any]:
        return self.raw["services"]

    def env(self, name: str) -> dict[str, str]:
        given = self.services[name].get("environment", {})
        return {variable: interpolated(value, self._secrets) for variable, value in given.items()}

    def networks(self, name: str) -> set[str]:
        return set(self.services[name].get("networks", ()))

    def memory_mib(self, name: str) -> float:
        return mib(self.services[name].get("deploy", {}).get("resources", {}).get("limits", {}).get("memory", "0M"))

    def published(self, name: str) -> list[tuple[str, int, int]]:
        """Address, port on this machine and port of the container."""
        ports = (interpolated(port, {}).rsplit(":", 2) for port in self.services[name].get("ports", ()))
        return [(":".join(address), int(outer), int(inner)) for *address, outer, inner in ports]

    def house(self) -> House:
        return House(
            servers={name: self._server(name) for name in self.services.keys() - OURS.keys()},
            clients={name: self.env(name) for name in OURS},
        )

    def _server(self, name: str) -> Server:
        service = self.services[name]
        volumes = [volume.split(":") for volume in service.get("volumes", ())]
        words = (*service.get("entrypoint", ()), *service.get("command", ()))
        return Server(
            image=service["image"],
            words=tuple(interpolated(word, self._secrets) for word in words),
            env=self.env(name),
            kept=frozenset(path for source, path, *_ in volumes if not source.startswith("./")),
            written=frozenset(each.partition(":")[0] for each in service.get("tmpfs", ())),
            files={path: text for source, at, *_ in volumes for path, text in _files(source, at)},
            memory_mib=self.memory_mib(name),
        )


def _files(source: str, at: str) -> Iterator[tuple[str, str]]:
    """What a mount gives a container of this repository."""
    place = ROOT / source
    if source.startswith("./") and place.is_file():
        yield at, place.read_text()
    elif source.startswith("./"):
        for path in place.rglob("*"):
            if path.is_file():
                yield f"{at}/{path.relative_to(place)}", path.read_text()
