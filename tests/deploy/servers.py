"""The checks of the servers behind us and around us: the same for Compose and for a cluster that holds them itself."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from gateway.settings import Settings as Gateway
from services.communication.files.content import MAX_UNPACKED_BYTES
from services.communication.settings import Settings as Communication
from shared.settings import load
from tests.deploy.manifests import CONNECTIONS, ROOT, Complaints, mib
from tools.embedded.object_store import OPEN_UPLOADS
from tools.topology import DATABASE, GATEWAY

MIB = 1024 * 1024
CLAMD_CONF = "/etc/clamav/clamd.conf"
DATABASES = ("postgres", "postgres-replica")
KEPT = {
    "postgres": "/var/lib/postgresql",
    "postgres-replica": "/var/lib/postgresql",
    "redis": "/data",
    "rabbitmq": "/var/lib/rabbitmq",
    "object-store": "/objects",
    "clamd": "/var/lib/clamav",
    "prometheus": "/prometheus",
    "alertmanager": "/alertmanager",
    "grafana": "/var/lib/grafana",
}
"""Where each keeps what must outlive its container."""
WRITTEN = {
    "nginx": {"/tmp"},
    "postgres": {"/tmp", "/var/run/postgresql"},
    "postgres-replica": {"/tmp", "/var/run/postgresql"},
    "rabbitmq": {"/tmp", "/var/log/rabbitmq"},
    "object-store": {"/tmp"},
    "clamd": {"/tmp", "/var/log/clamav"},
    "mail": {"/tmp"},
    "grafana": {"/tmp"},
    "collector": {"/traces"},
}
"""Where else each writes, though nobody may write to its image."""
READ = {
    "nginx": {"/etc/nginx/nginx.conf": "nginx/nginx.conf"},
    "postgres": {
        "/docker-entrypoint-initdb.d/10-services.sh": "postgres/init/10-services.sh",
        "/docker-entrypoint-initdb.d/20-replication.sh": "postgres/init/20-replication.sh",
        "/sql/database.sql": "postgres/sql/database.sql",
        "/sql/service.sql": "postgres/sql/service.sql",
    },
    "postgres-replica": {"/replica/start.sh": "postgres/replica/start.sh"},
    "rabbitmq": {"/etc/rabbitmq/conf.d/20-homeroom.conf": "rabbitmq/rabbitmq.conf"},
    "clamd": {CLAMD_CONF: "clamav/clamd.conf"},
    "alertmanager": {"/etc/alertmanager/alertmanager.yml": "alertmanager/alertmanager.yml"},
    "prometheus": {
        "/etc/prometheus/prometheus.yml": "prometheus/prometheus.yml",
        "/etc/prometheus/rules/homeroom.yml": "prometheus/rules/homeroom.yml",
    },
    "grafana": {
        "/etc/grafana/provisioning/datasources/prometheus.yml": "grafana/provisioning/datasources/prometheus.yml",
        "/etc/grafana/provisioning/dashboards/homeroom.yml": "grafana/provisioning/dashboards/homeroom.yml",
        "/etc/grafana/dashboards/homeroom.json": "grafana/dashboards/homeroom.json",
    },
    "collector": {"/etc/collector.yaml": "collector/collector.yaml"},
}
"""Where each looks for which file of deploy/."""
TOLD = {
    # The image's own way in insists on root.
    "clamd": "/init-unprivileged",
    "postgres-replica": "/replica/start.sh",
    "prometheus": "--config.file=/etc/prometheus/prometheus.yml",
    "alertmanager": "--config.file=/etc/alertmanager/alertmanager.yml",
    "collector": "--config=/etc/collector.yaml",
    "grafana": "GF_PATHS_PROVISIONING=/etc/grafana/provisioning",
}
"""How each is told of it, where it does not look there by itself."""
LEAST_MIB = {
    "postgres": 512,
    "postgres-replica": 512,
    "rabbitmq": 512,
    "object-store": 256,
    # The signatures, twice while new ones are read, and what is being scanned.
    "clamd": 3072,
    "mail": 128,
    "nginx": 64,
    "prometheus": 512,
    "grafana": 256,
    # Its own limiter lets it have 300.
    "collector": 320,
}


class Server(msgspec.Struct, frozen=True, kw_only=True):
    image: str = ""
    words: tuple[str, ...] = ()
    """What it is started with."""
    env: Mapping[str, str] = {}
    kept: frozenset[str] = frozenset()
    """The folders that outlive a container, ..."""
    written: frozenset[str] = frozenset()
    """... and those that do not."""
    files: Mapping[str, str] = {}
    """The text of each file that it is given, by its path."""
    memory_mib: float = 0


class House(msgspec.Struct, frozen=True, kw_only=True):
    servers: Mapping[str, Server]
    """Empty where others run them."""
    clients: Mapping[str, Mapping[str, str]]
    """The environment of each process of ours."""

    def server(self, name: str) -> Server:
        return self.servers.get(name, Server())


class Housed(Protocol):
    def house(self) -> House: ...


def keeps_its_data(housed: Housed) -> Complaints:
    for name, server in housed.house().servers.items():
        if name in KEPT and KEPT[name] not in server.kept:
            yield f"{name} keeps {sorted(server.kept)}, not {KEPT[name]}"


def can_write_where_it_must(housed: Housed) -> Complaints:
    for name, server in housed.house().servers.items():
        yield from (f"{name} cannot write to {path}" for path in sorted(WRITTEN.get(name, set()) - server.written))


def finds_its_files(housed: Housed) -> Complaints:
    for name, server in housed.house().servers.items():
        for path, source in READ.get(name, {}).items():
            if server.files.get(path) != (ROOT / "deploy" / source).read_text():
                yield f"{name} does not find deploy/{source} at {path}"
        told = {*server.words, *(f"{variable}={value}" for variable, value in server.env.items())}
        if name in TOLD and TOLD[name] not in told:
            yield f"{name} is not told {TOLD[name]}"


def lets_its_users_in(housed: Housed) -> Complaints:
    house = housed.house()
    if not house.servers:
        return
    for name, env in house.clients.items():
        for variable, value in env.items():
            yield from _refuses(house, f"{name}: {variable}", value)
        if "S3_BUCKET" in env:
            yield from _has_no_bucket_for(house, name, env)


def _refuses(house: House, who: str, value: str) -> Complaints:
    if not re.match(r"(postgresql|redis|amqp)://", value):
        return
    url = urlsplit(value)
    if url.scheme == "postgresql":
        env = house.server("postgres").env
        role = f"{url.username}_PASSWORD".upper()
        let_in = env.get(role) == url.password and f"/{env.get('POSTGRES_DB')}" == url.path == f"/{DATABASE}"
    elif url.scheme == "redis":
        let_in = house.server("redis").env.get("REDIS_PASSWORD") == url.password
    else:
        env = house.server("rabbitmq").env
        let_in = (env.get("RABBITMQ_DEFAULT_USER"), env.get("RABBITMQ_DEFAULT_PASS")) == (url.username, url.password)
    if not let_in or not url.password:
        yield f"{who}: is not let in"


def _has_no_bucket_for(house: House, name: str, env: Mapping[str, str]) -> Complaints:
    store = house.server("object-store")
    if f"mkdir -p /objects/{env['S3_BUCKET']} " not in " ".join(store.words):
        yield f"{name}: nobody makes the bucket {env['S3_BUCKET']}"
    if store.env.get("RCLONE_AUTH_KEY") != f'"{env["S3_ACCESS_KEY_ID"]},{env["S3_SECRET_ACCESS_KEY"]}"':
        yield f"{name}: the object store knows another key"


def keeps_no_part_of_an_upload(housed: Housed) -> Complaints:
    """The object store forgets which uploads are open when it stops; what is started before it clears their parts."""
    house = housed.house()
    if not house.servers:
        return
    before, server, _ = house.server("object-store").words[-1].partition("exec rclone serve s3 ")
    with TemporaryDirectory() as objects:
        folder = Path(objects) / "homeroom" / "school" / "a"
        folder.mkdir(parents=True)
        part, file = folder / OPEN_UPLOADS.replace("*", "b"), folder / "b"
        part.touch()
        file.touch()
        ended = subprocess.run(["sh", "-ec", f"{before.replace('/objects', objects)} true"], check=False)
        if not server or ended.returncode:
            yield "the object store does not start"
        if part.exists():
            yield "the object store keeps parts of uploads that nobody can end"
        if not file.exists():
            yield "the object store loses its files"


def follows_its_primary(housed: Housed) -> Complaints:
    house = housed.house()
    if not house.servers:
        return
    primary, replica = (house.server(name) for name in DATABASES)
    if replica.env.get("PRIMARY_HOST") != DATABASES[0]:
        yield f"the replica follows {replica.env.get('PRIMARY_HOST')}"
    password = primary.env.get("REPLICATION_PASSWORD")
    if not password or replica.env.get("REPLICATION_PASSWORD") != password:
        yield "the replica is not let in"
    if not replica.env.get("PGDATA", "").startswith(f"{KEPT['postgres-replica']}/"):
        yield "the replica copies its primary to where nothing is kept"
    if not primary.env.get("POSTGRES_PASSWORD"):
        yield "postgres refuses to start without a password"
    if options(primary) != options(replica) or primary.image != replica.image:
        yield "primary and replica are of other versions, or have other settings"


def options(server: Server) -> list[str]:
    return [word for word in server.words if word.startswith("--")]


def has_databases_as_we_expect(housed: Housed) -> Complaints:
    house = housed.house()
    if not house.servers:
        return
    settings = options(house.server("postgres"))
    if "--shared_preload_libraries=pg_stat_statements" not in settings:
        yield "statements are not counted"
    if "--log_min_duration_statement=100ms" not in settings:
        yield "slow statements are not logged"
    if not {"--log_parameter_max_length=0", "--log_error_verbosity=terse"} <= set(settings):
        yield "the values of statements are logged"
    sorts = "--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8"
    if sorts not in house.server("postgres").env.get("POSTGRES_INITDB_ARGS", ""):
        yield "texts would not sort as in the tests"
    admitted = re.search(r"--max_connections=(\d+)", " ".join(settings))
    if admitted is None or int(admitted[1]) <= CONNECTIONS:
        yield "connections within the budget are refused"


def forgets_no_session(housed: Housed) -> Complaints:
    house = housed.house()
    if not house.servers:
        return
    redis = house.server("redis")
    words = " ".join(redis.words)
    if '--requirepass "$REDIS_PASSWORD"' not in words:
        yield "redis asks nobody for a password"
    if "--maxmemory-policy noeviction" not in words:
        yield "redis drops the end of a session to make room"
    if "--appendonly yes" not in words:
        yield "redis forgets with its container"
    most = re.search(r"--maxmemory ([0-9]+)mb", words)
    # A fork that writes the file anew needs some of it twice.
    if most is None or float(most[1]) * 1.25 > redis.memory_mib:
        yield "redis is killed before it refuses to take more"


def scans_what_is_uploaded(housed: Housed) -> Complaints:
    house = housed.house()
    gateway = next(load(Gateway, env) for name, env in house.clients.items() if name.startswith(GATEWAY.name))
    for name in ("communication", "communication-worker"):
        settings = load(Communication, house.clients[name])
        if settings.scanner_address is None:
            yield f"{name} takes every file for clean"
        if settings.scanner_timeout_s >= gateway.deadline_s:
            yield f"{name} waits for the scanner when the gateway has given up"
        if house.servers:
            yield from _is_not_scanned(name, house.server("clamd").files.get(CLAMD_CONF, ""), settings)


def _is_not_scanned(name: str, configuration: str, settings: Communication) -> Complaints:
    said = dict(re.findall(r"(?m)^(\w+) (.+)$", configuration))
    if said.get("AlertExceedsMax") != "yes":
        yield "clamd calls clean what it has not looked at"
    if mib(said.get("StreamMaxLength", "0M")) * MIB <= settings.file_max_bytes:
        yield f"clamd does not take all that {name} takes"
    if min(mib(said.get(limit, "0M")) for limit in ("MaxFileSize", "MaxScanSize")) * MIB < MAX_UNPACKED_BYTES:
        yield f"clamd does not unpack all that {name} takes"
    if float(said.get("MaxScanTime", "inf")) / 1000 > settings.scanner_timeout_s:
        yield f"clamd goes on when {name} has given up"


def has_memory_enough(housed: Housed) -> Complaints:
    for name, server in housed.house().servers.items():
        if server.memory_mib < LEAST_MIB.get(name, 0):
            yield f"{name} cannot live in {server.memory_mib} MiB"


def is_of_a_known_version(housed: Housed) -> Complaints:
    for name, server in housed.house().servers.items():
        if server.image.rpartition("/")[2].partition(":")[2] in {"", "latest"}:
            yield f"{name} takes whatever version there is"


CHECKS = [
    keeps_its_data,
    can_write_where_it_must,
    finds_its_files,
    lets_its_users_in,
    keeps_no_part_of_an_upload,
    follows_its_primary,
    has_databases_as_we_expect,
    forgets_no_session,
    scans_what_is_uploaded,
    has_memory_enough,
    is_of_a_known_version,
]
