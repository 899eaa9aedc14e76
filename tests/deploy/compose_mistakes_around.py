"""Mistakes in what stands around the apps in docker-compose.yml, each with the check that must find it."""

from typing import Any

from tests.deploy.compose import has_room
from tests.deploy.compose_edge import (
    believes_whom_it_should,
    has_every_part,
    has_room_for_what_it_puts_aside,
    keeps_its_gateways_addresses,
    listens_where_it_is_published,
    shares_no_volume,
    stands_in_its_place,
    tells_browsers_where_it_is,
)
from tests.deploy.compose_file import GATEWAYS
from tests.deploy.compose_mistakes import Change, Mistakes, env_of, fields_of, without
from tests.deploy.servers import (
    can_write_where_it_must,
    finds_its_files,
    follows_its_primary,
    forgets_no_session,
    has_databases_as_we_expect,
    has_memory_enough,
    is_of_a_known_version,
    keeps_its_data,
    keeps_no_part_of_an_upload,
    lets_its_users_in,
    scans_what_is_uploaded,
)


def _replaced(name: str, field: str, old: str, new: str) -> Change:
    """Every text of a list that holds `old` has `new` there; nothing: without that text."""

    def change(services: dict[str, Any]) -> None:
        texts: list[str] = services[name][field]
        assert any(old in text for text in texts), old
        kept = [text for text in texts if new or old not in text]
        services[name][field] = [text.replace(old, new) for text in kept]

    return change


def _databaseswithout(option: str) -> Change:
    def change(services: dict[str, Any]) -> None:
        for name in ("postgres", "postgres-replica"):
            _replaced(name, "command", option, "")(services)

    return change


def _address(name: str, address: str | None) -> Change:
    front = {"ipv4_address": address} if address else None
    return lambda services: services[name]["networks"].update(front=front)


def _memory(name: str, memory: str) -> Change:
    return lambda services: services[name].update(deploy={"resources": {"limits": {"cpus": "1.0", "memory": memory}}})


MISTAKES: Mistakes = {
    **{
        f"no {name}": (without(name), has_every_part)
        for name in (
            "nginx",
            "redis",
            "rabbitmq",
            "mail",
            "collector",
            "prometheus",
            "alertmanager",
            "grafana",
            "postgres-replica",
            "clamd",
        )
    },
    "a part that nobody knows": (lambda services: services.update(x={"image": "x:1"}), has_every_part),
    "another program": (fields_of("grafana", image="prom/prometheus:v3.8.0"), has_every_part),
    "nginx beside the gateways": (fields_of("nginx", networks=["outside"]), stands_in_its_place),
    "nginx at the database": (fields_of("nginx", networks=["front", "outside", "database"]), stands_in_its_place),
    "the board at the database": (fields_of("grafana", networks=["watch", "outside", "database"]), stands_in_its_place),
    "a port that nginx does not listen on": (
        fields_of("nginx", ports=["127.0.0.1:8000:80"]),
        listens_where_it_is_published,
    ),
    "no way in": (fields_of("nginx", ports=None), listens_where_it_is_published),
    "a board that cannot be seen": (fields_of("grafana", ports=["127.0.0.1:3000:80"]), listens_where_it_is_published),
    "nginx asked elsewhere": (
        fields_of("nginx", healthcheck={"test": ["CMD", "true"]}),
        listens_where_it_is_published,
    ),
    "links to a port that is not there": (
        env_of("notification", PUBLIC_URL="http://127.0.0.1:8080"),
        tells_browsers_where_it_is,
    ),
    "files at a port that is not there": (
        env_of("communication", S3_PUBLIC_ENDPOINT_URL="http://127.0.0.1:9999"),
        tells_browsers_where_it_is,
    ),
    "two gateways at one address": (_address("gateway-2", "172.30.0.11"), keeps_its_gateways_addresses),
    "a gateway outside its network": (_address("gateway-2", "10.0.0.1"), keeps_its_gateways_addresses),
    "a gateway in place of the bridge": (_address("gateway-2", "172.30.0.1"), keeps_its_gateways_addresses),
    "a gateway without an address": (_address("gateway-2", None), keeps_its_gateways_addresses),
    "a gateway at any address": (
        fields_of("gateway-2", networks=["front", "inside", "redis"]),
        keeps_its_gateways_addresses,
    ),
    "gateways that believe nobody": (
        lambda services: [env_of(name, TRUSTED_PROXY_HOPS="0")(services) for name in GATEWAYS],
        believes_whom_it_should,
    ),
    "a gateway that believes clients": (env_of("gateway-3", TRUSTED_PROXY_HOPS="2"), believes_whom_it_should),
    "one client for all": (env_of("auth", CLIENT_IP_HEADER=None), believes_whom_it_should),
    "clients by another header": (env_of("auth", CLIENT_IP_HEADER="x-forwarded-for"), believes_whom_it_should),
    "no room for what is put aside": (
        _replaced("nginx", "tmpfs", "size=384m", "size=256m"),
        has_room_for_what_it_puts_aside,
    ),
    "a tmpfs as large as its container": (_memory("nginx", "384M"), has_room),
    "a tmpfs without an end": (_replaced("rabbitmq", "tmpfs", "gid=999,size=64m", "gid=999"), has_room),
    "a replica in its primary's place": (
        _replaced("postgres-replica", "volumes", "postgres-replica:", "postgres:"),
        shares_no_volume,
    ),
    "no configuration of nginx": (fields_of("nginx", volumes=[]), finds_its_files),
    "nginx' configuration elsewhere": (_replaced("nginx", "volumes", "/nginx.conf:ro", "/x.conf:ro"), finds_its_files),
    "no roles and schemas": (_replaced("postgres", "volumes", "./deploy/postgres/init", ""), finds_its_files),
    "no statements for schemas": (_replaced("postgres", "volumes", ":/sql", ":/statements"), finds_its_files),
    "no way to begin a replica": (_replaced("postgres-replica", "volumes", "./deploy", ""), finds_its_files),
    "a replica that begins as a primary": (fields_of("postgres-replica", entrypoint=None), finds_its_files),
    "no limits of the broker": (_replaced("rabbitmq", "volumes", "./deploy", ""), finds_its_files),
    "nothing to scrape": (_replaced("prometheus", "volumes", "./deploy", ""), finds_its_files),
    "a configuration that Prometheus is not told of": (
        _replaced("prometheus", "command", "--config.file", ""),
        finds_its_files,
    ),
    "alarms for nobody": (_replaced("alertmanager", "volumes", "./deploy", ""), finds_its_files),
    "an alertmanager that is told of no file": (
        _replaced("alertmanager", "command", "--config.file", ""),
        finds_its_files,
    ),
    "silences in the container": (_replaced("alertmanager", "volumes", "alertmanager:", ""), keeps_its_data),
    "alarms that reach no mail": (fields_of("alertmanager", networks=["watch"]), stands_in_its_place),
    "no board": (_replaced("grafana", "volumes", "./deploy/grafana/dashboards", ""), finds_its_files),
    "no source for the board": (_replaced("grafana", "volumes", "provisioning", ""), finds_its_files),
    "a board that looks elsewhere": (env_of("grafana", GF_PATHS_PROVISIONING=None), finds_its_files),
    "a collector without its file": (fields_of("collector", volumes=None), finds_its_files),
    "a collector that looks elsewhere": (fields_of("collector", command=None), finds_its_files),
    "data in the container": (_replaced("postgres", "volumes", ":/var/lib/postgresql", ":/data"), keeps_its_data),
    "sessions in the container": (fields_of("redis", volumes=None), keeps_its_data),
    "mails nowhere": (fields_of("mail", tmpfs=None), can_write_where_it_must),
    "no place for a socket": (_replaced("postgres", "tmpfs", "/var/run/postgresql", ""), can_write_where_it_must),
    "a role without a password": (env_of("postgres", AUTH_APP_PASSWORD=None), lets_its_users_in),
    "an owner without a password": (env_of("postgres", AUTH_OWNER_PASSWORD=None), lets_its_users_in),
    "the password of another role": (
        env_of("postgres", AUTH_APP_PASSWORD="${SCHOOL_APP_PASSWORD}"),
        lets_its_users_in,
    ),
    "another database": (env_of("postgres", POSTGRES_DB="other"), lets_its_users_in),
    "another bucket": (env_of("communication", S3_BUCKET="other"), lets_its_users_in),
    "parts that lie there for ever": (
        _replaced("object-store", "command", ".rclone_multipart_upload_*", "*.part"),
        keeps_no_part_of_an_upload,
    ),
    "a store that begins anew": (
        _replaced("object-store", "command", "-name '.rclone_multipart_upload_*' ", ""),
        keeps_no_part_of_an_upload,
    ),
    "another key of the object store": (env_of("object-store", RCLONE_AUTH_KEY='"a,b"'), lets_its_users_in),
    "another user of the bus": (env_of("rabbitmq", RABBITMQ_DEFAULT_USER="guest"), lets_its_users_in),
    "another password of the bus": (
        env_of("rabbitmq", RABBITMQ_DEFAULT_PASS="${REDIS_PASSWORD}"),
        lets_its_users_in,
    ),
    "another password of redis": (env_of("redis", REDIS_PASSWORD="${RABBITMQ_PASSWORD}"), lets_its_users_in),
    "a replica of nobody": (env_of("postgres-replica", PRIMARY_HOST="nowhere"), follows_its_primary),
    "a replica that is not let in": (env_of("postgres", REPLICATION_PASSWORD=None), follows_its_primary),
    "a primary that does not start": (env_of("postgres", POSTGRES_PASSWORD=None), follows_its_primary),
    "a replica that refuses to start": (fields_of("postgres-replica", command=[]), follows_its_primary),
    "values in the log": (_databaseswithout("log_parameter_max_length"), has_databases_as_we_expect),
    "no slow statements in the log": (_databaseswithout("log_min_duration"), has_databases_as_we_expect),
    "few connections": (
        _replaced("postgres", "command", "max_connections=80", "max_connections=50"),
        has_databases_as_we_expect,
    ),
    "sessions that are dropped": (_replaced("redis", "command", "noeviction", "allkeys-lru"), forgets_no_session),
    "a redis for everybody": (fields_of("redis", command=["redis-server"]), forgets_no_session),
    "a redis that forgets": (_replaced("redis", "command", "appendonly yes", "appendonly no"), forgets_no_session),
    "a redis larger than its container": (_memory("redis", "256M"), forgets_no_session),
    "files that nobody scans": (env_of("communication", SCANNER_URL=None), scans_what_is_uploaded),
    "more patience than the gateway": (env_of("communication", SCANNER_TIMEOUT_S="15"), scans_what_is_uploaded),
    "less patience than clamd": (env_of("communication", SCANNER_TIMEOUT_S="5"), scans_what_is_uploaded),
    "files longer than clamd takes": (env_of("communication", FILE_MAX_BYTES="104857600"), scans_what_is_uploaded),
    "a clamd with limits of its own": (_replaced("clamd", "volumes", "./deploy", ""), scans_what_is_uploaded),
    "a clamd that must be root": (fields_of("clamd", entrypoint=None), finds_its_files),
    "signatures in the container": (_replaced("clamd", "volumes", "signatures:", ""), keeps_its_data),
    "nowhere to unpack": (_replaced("clamd", "tmpfs", "/tmp", ""), can_write_where_it_must),
    "a clamd without signatures": (fields_of("clamd", networks=["scanner"]), stands_in_its_place),
    "a small clamd": (_memory("clamd", "1G"), has_memory_enough),
    "a small database": (_memory("postgres", "64M"), has_memory_enough),
    "a small collector": (_memory("collector", "256M"), has_memory_enough),
    "any version": (fields_of("redis", image="redis"), is_of_a_known_version),
}
