"""The checks of what stands around the apps in docker-compose.yml: every part, its place, and the way in."""

import ipaddress
import re
from urllib.parse import urlsplit

from gateway.headers import SET_BY_US
from tests.deploy.compose_file import GATEWAYS, OURS, PUBLISHED, ROOTS, RUNNING, Compose
from tests.deploy.manifests import CLIENT_IP_HEADER, NGINX, Complaints, mib, nginx_says, size_mib
from tools.topology import GATEWAY_PORT

PARTS = {
    "nginx": "nginx",
    "postgres": "postgres",
    "postgres-replica": "postgres",
    "redis": "redis",
    "rabbitmq": "rabbitmq",
    "object-store": "rclone",
    "objects-volume": "rclone",
    "clamd": "clamav",
    "signatures-volume": "clamav",
    "mail": "mailpit",
    "collector": "opentelemetry-collector",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "grafana": "grafana",
}
PLACES = {
    "nginx": {"front", "outside"},
    "collector": {"inside", "watch"},
    "prometheus": {"inside", "bus", "watch"},
    "alertmanager": {"watch", "mail"},
    "grafana": {"watch", "outside"},
    # Its signatures come from outside.
    "clamd": {"scanner", "outside"},
}
SHOWN = {"mail": 8025, "grafana": 3000, "object-store": 9000}


def has_every_part(compose: Compose) -> Complaints:
    yield from (f"{name} is missing" for name in sorted(PARTS.keys() - compose.services.keys()))
    yield from (f"nobody knows {name}" for name in sorted(compose.services.keys() - PARTS.keys() - OURS.keys()))
    for name in PARTS.keys() & compose.services.keys():
        image = compose.services[name]["image"].rpartition("/")[2].partition(":")[0]
        if image != PARTS[name]:
            yield f"{name} is {image}"


def stands_in_its_place(compose: Compose) -> Complaints:
    for name, expected in PLACES.items():
        if compose.networks(name) != expected:
            yield f"{name} is in {sorted(compose.networks(name))}, not in {sorted(expected)}"


def listens_where_it_is_published(compose: Compose) -> Complaints:
    listens = SHOWN | {"nginx": int(nginx_says("listen").split()[0])}
    for name in PUBLISHED:
        inner = [port for _, _, port in compose.published(name)]
        if inner != [listens[name]]:
            yield f"{name} is published by {inner}, and listens on {listens[name]}"
    asked = str(compose.services["nginx"]["healthcheck"]["test"])
    if f"http://127.0.0.1:{listens['nginx']}/nginx/live" not in asked:
        yield "nginx is not asked for its health"


def tells_browsers_where_it_is(compose: Compose) -> Complaints:
    for variable, server in (("PUBLIC_URL", "nginx"), ("S3_PUBLIC_ENDPOINT_URL", "object-store")):
        published = {(address, port) for address, port, _ in compose.published(server)}
        for name in RUNNING:
            url = urlsplit(compose.env(name).get(variable, ""))
            if url.netloc and (url.hostname, url.port) not in published:
                yield f"{name} sends browsers to {url.netloc}, where {server} is not"


def keeps_its_gateways_addresses(compose: Compose) -> Complaints:
    servers = re.findall(r"^ {8}server ([^ ;]+)[ ;]", NGINX.read_text(), re.MULTILINE)
    if sorted(servers) != [f"{name}:{GATEWAY_PORT}" for name in GATEWAYS]:
        yield f"nginx knows of {servers}"
    subnet = ipaddress.ip_network(compose.raw["networks"]["front"]["ipam"]["config"][0]["subnet"])
    taken = {subnet[0], subnet[1], subnet[-1]}
    for name in GATEWAYS:
        networks = compose.services[name]["networks"]
        front = networks["front"] if isinstance(networks, dict) else None
        if not front or "ipv4_address" not in front:
            yield f"{name} has whatever address there is"
            continue
        address = ipaddress.ip_address(front["ipv4_address"])
        if address not in subnet or address in taken:
            yield f"{name} cannot have {address}"
        taken.add(address)


def believes_whom_it_should(compose: Compose) -> Complaints:
    for name in GATEWAYS:
        if compose.env(name).get("TRUSTED_PROXY_HOPS") != "1":
            yield f"{name} does not believe nginx, or believes others too"
    for header in ("X-Forwarded-For", "X-Real-IP"):
        if f"proxy_set_header {header} $remote_addr;" not in NGINX.read_text():
            yield f"nginx passes on what clients say in {header}"
    if compose.env("auth").get("CLIENT_IP_HEADER") != CLIENT_IP_HEADER or CLIENT_IP_HEADER.encode() not in SET_BY_US:
        yield "auth takes all clients for one: the gateway"


def has_room_for_what_it_puts_aside(compose: Compose) -> Complaints:
    """Every body that nginx takes at once, as large as it may be; some is left for long answers."""
    most_mib = 0.0
    for zone, place in (("bodies", "http"), ("rosters", "location = /api/v1/imports")):
        text = NGINX.read_text().partition(f"{place} {{")[2].partition("}" if place != "http" else "\n    upstream ")[0]
        limit = re.search(rf"^\s+limit_conn {zone} ([0-9]+);", text, re.MULTILINE)
        size = re.search(r"^\s+client_max_body_size ([0-9]+m);", text, re.MULTILINE)
        if limit is None or size is None:
            yield f"nginx puts aside as many {zone} as come"
            continue
        most_mib += int(limit[1]) * mib(size[1].upper())
    (room_mib,) = (size_mib(each) for each in compose.services["nginx"]["tmpfs"])
    if room_mib is None or most_mib > 0.92 * room_mib:
        yield f"{most_mib} MiB of bodies fill the {room_mib} that nginx has"


def shares_no_volume(compose: Compose) -> Complaints:
    users: dict[str, set[str]] = {}
    for name, service in compose.services.items():
        for volume in service.get("volumes", ()):
            users.setdefault(volume.partition(":")[0], set()).add(name)
    for volume in compose.raw["volumes"]:
        found = users.get(volume, set()) - ROOTS
        if len(found) != 1:
            yield f"{sorted(found)} have the volume {volume}"


CHECKS = [
    has_every_part,
    stands_in_its_place,
    listens_where_it_is_published,
    tells_browsers_where_it_is,
    keeps_its_gateways_addresses,
    believes_whom_it_should,
    has_room_for_what_it_puts_aside,
    shares_no_volume,
]
