"""Mistakes in what only one overlay has: the servers of a try-out, the way into production."""

from tests.deploy.cluster import NAME, Cluster
from tests.deploy.kubernetes_mistakes import Change, Mistakes
from tests.deploy.kubernetes_network import (
    leads_names_to_their_pods,
    lets_the_outside_in,
    owns_its_pods,
    reaches_outside_for_its_needs_only,
)
from tests.deploy.kubernetes_pods import (
    is_asked_often_and_killed_late,
    mounts_what_it_has,
    names_what_it_is_given,
    shares_nothing_with_its_node,
)
from tests.deploy.kubernetes_scale import survives_a_node
from tests.deploy.kustomize import Resource
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


def _pod(cluster: Cluster, server: str) -> Resource:
    return cluster.of("StatefulSet")[server]["spec"]["template"]["spec"]


def _container(cluster: Cluster, server: str) -> Resource:
    return _pod(cluster, server)["containers"][0]


def _set(server: str, **fields: object) -> Change:
    return lambda cluster: _container(cluster, server).update(fields)


def _env(server: str, variable: str, **how: object) -> Change:
    """Another value of a variable, or, without one, no such variable."""

    def change(cluster: Cluster) -> None:
        others = [each for each in _container(cluster, server)["env"] if each["name"] != variable]
        _container(cluster, server)["env"] = [*others, *([{"name": variable, **how}] if how else [])]

    return change


def _key(key: str, name: str = "homeroom") -> dict[str, object]:
    return {"secretKeyRef": {"name": name, "key": key}}


def _unmount(server: str, volume: str, path: str = "") -> Change:
    """Elsewhere, or, without a path, nowhere."""

    def change(cluster: Cluster) -> None:
        mounts = _container(cluster, server)["volumeMounts"]
        (mount,) = [each for each in mounts if each["name"] == volume]
        if path:
            mount["mountPath"] = path
        else:
            mounts.remove(mount)

    return change


def _config(server: str, volume: str, name: str) -> Change:
    def change(cluster: Cluster) -> None:
        (found,) = [each for each in _pod(cluster, server)["volumes"] if each["name"] == volume]
        found["configMap"]["name"] = name

    return change


def _clamd_says(old: str, new: str) -> Change:
    def change(cluster: Cluster) -> None:
        text = cluster.config("clamd")["clamd.conf"]
        assert old in text
        cluster.config("clamd")["clamd.conf"] = text.replace(old, new)

    return change


def _replaced(server: str, old: str, new: str) -> Change:
    def change(cluster: Cluster) -> None:
        args = _container(cluster, server)["args"]
        assert any(old in each for each in args), old
        _container(cluster, server)["args"] = [each.replace(old, new) for each in args]

    return change


LOCAL: Mistakes = {
    "a name for no server": (
        lambda c: c.of("Service")["redis"]["spec"].update(selector={NAME: "rediss"}),
        leads_names_to_their_pods,
    ),
    "a server's port that nobody listens on": (
        lambda c: c.of("Service")["redis"]["spec"]["ports"][0].update(targetPort=6380),
        leads_names_to_their_pods,
    ),
    "a server that owns no pod": (
        lambda c: c.of("StatefulSet")["redis"]["spec"]["selector"]["matchLabels"].update({NAME: "rediss"}),
        owns_its_pods,
    ),
    "a server behind no name": (
        lambda c: c.of("StatefulSet")["redis"]["spec"].update(serviceName="rediss"),
        leads_names_to_their_pods,
    ),
    "a server that does not run": (lambda c: c.of("StatefulSet")["mail"]["spec"].update(replicas=0), survives_a_node),
    "a server's key that is not there": (
        _env("postgres", "AUTH_APP_PASSWORD", valueFrom=_key("NOPE")),
        names_what_it_is_given,
    ),
    "a server's secret that is not there": (
        _env("postgres", "AUTH_APP_PASSWORD", valueFrom=_key("AUTH_APP_PASSWORD", "homeruum")),
        names_what_it_is_given,
    ),
    "files that are not there": (_config("postgres", "init", "nope"), names_what_it_is_given),
    "a part of the files that is not there": (
        lambda c: c.config("rabbitmq").update({"rabbit.conf": c.config("rabbitmq").pop("rabbitmq.conf")}),
        names_what_it_is_given,
    ),
    "the files of another": (_config("postgres", "init", "postgres-sql"), finds_its_files),
    "files at another place": (_unmount("postgres", "init", "/init.d"), finds_its_files),
    "a configuration at another place": (_unmount("rabbitmq", "conf", "/etc/rabbitmq.conf"), finds_its_files),
    "a replica that is a primary": (_set("postgres-replica", command=["postgres"]), finds_its_files),
    "a folder of the node for a server": (
        lambda c: _pod(c, "redis")["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        shares_nothing_with_its_node,
    ),
    "a claim that nobody mounts": (_unmount("postgres", "data"), mounts_what_it_has),
    "data at another place": (_unmount("postgres", "data", "/var/lib/postgres"), keeps_its_data),
    "data that goes with its pod": (
        lambda c: [
            c.of("StatefulSet")["redis"]["spec"].pop("volumeClaimTemplates"),
            _pod(c, "redis")["volumes"].append({"name": "data", "emptyDir": {}}),
        ],
        keeps_its_data,
    ),
    "no place for a socket": (_unmount("postgres", "run", "/run/pg"), can_write_where_it_must),
    "a role without a password": (_env("postgres", "AUTH_APP_PASSWORD"), lets_its_users_in),
    "an owner without a password": (_env("postgres", "AUTH_OWNER_PASSWORD"), lets_its_users_in),
    "the password of another role": (
        _env("postgres", "AUTH_APP_PASSWORD", valueFrom=_key("SCHOOL_APP_PASSWORD")),
        lets_its_users_in,
    ),
    "another database": (_env("postgres", "POSTGRES_DB", value="other"), lets_its_users_in),
    "another user of the bus": (_env("rabbitmq", "RABBITMQ_DEFAULT_USER", value="guest"), lets_its_users_in),
    "another bucket": (lambda c: c.config("objects").update(S3_BUCKET="other"), lets_its_users_in),
    "parts that lie there for ever": (
        _replaced("object-store", ".rclone_multipart_upload_*", "*.part"),
        keeps_no_part_of_an_upload,
    ),
    "a store that begins anew": (
        _replaced("object-store", "-name '.rclone_multipart_upload_*' ", ""),
        keeps_no_part_of_an_upload,
    ),
    "another key of the object store": (_env("object-store", "RCLONE_AUTH_KEY", value='"a,b"'), lets_its_users_in),
    "another password of redis": (
        _env("redis", "REDIS_PASSWORD", valueFrom=_key("RABBITMQ_PASSWORD")),
        lets_its_users_in,
    ),
    "files that nobody scans": (lambda c: c.config("files").pop("SCANNER_URL"), scans_what_is_uploaded),
    "a clamd that calls clean what it has not seen": (_clamd_says("AlertExceedsMax yes", ""), scans_what_is_uploaded),
    "a clamd that never gives up": (_clamd_says("MaxScanTime 9000\n", ""), scans_what_is_uploaded),
    "a clamd that unpacks little": (_clamd_says("MaxFileSize 512M", "MaxFileSize 100M"), scans_what_is_uploaded),
    "a clamd that takes little": (_clamd_says("MaxLength 60M", "MaxLength 25M"), scans_what_is_uploaded),
    "limits at another place": (_unmount("clamd", "conf", "/etc/clamd.conf"), finds_its_files),
    "signatures that go with their pod": (_unmount("clamd", "data", "/var/lib/clam"), keeps_its_data),
    "a server that fetches what it likes": (
        lambda c: c.of("NetworkPolicy")["signatures"]["spec"].update(podSelector={}),
        reaches_outside_for_its_needs_only,
    ),
    "no way to signatures": (
        lambda c: c.resources.remove(c.of("NetworkPolicy")["signatures"]),
        reaches_outside_for_its_needs_only,
    ),
    "a replica of nobody": (_env("postgres-replica", "PRIMARY_HOST", value="nowhere"), follows_its_primary),
    "a replica that is not let in": (_env("postgres", "REPLICATION_PASSWORD"), follows_its_primary),
    "a replica that allows less": (
        _replaced("postgres-replica", "max_connections=80", "max_connections=60"),
        follows_its_primary,
    ),
    "a replica of another version": (_set("postgres-replica", image="postgres:17"), follows_its_primary),
    "a replica in a place that is not kept": (
        _env("postgres-replica", "PGDATA", value="/tmp/data"),
        follows_its_primary,
    ),
    "few connections": (_replaced("postgres", "max_connections=80", "max_connections=10"), has_databases_as_we_expect),
    "values in the log": (_replaced("postgres", "parameter_max_length=0", "x=0"), has_databases_as_we_expect),
    "texts in another order": (_env("postgres", "POSTGRES_INITDB_ARGS"), has_databases_as_we_expect),
    "sessions that are dropped": (_replaced("redis", "noeviction", "allkeys-lru"), forgets_no_session),
    "a redis for everybody": (_replaced("redis", '--requirepass "$REDIS_PASSWORD"', ""), forgets_no_session),
    "a redis that forgets": (_replaced("redis", "--appendonly yes", ""), forgets_no_session),
    "a redis without a limit of its own": (_replaced("redis", "--maxmemory 384mb", ""), forgets_no_session),
    "a small database": (_set("postgres", resources={"limits": {"memory": "64Mi"}}), has_memory_enough),
    "whatever server there is": (_set("redis", image="redis:latest"), is_of_a_known_version),
    "a server that is asked once an hour": (
        lambda c: _container(c, "postgres")["readinessProbe"].update(periodSeconds=3600),
        is_asked_often_and_killed_late,
    ),
}


def _ingress(cluster: Cluster) -> Resource:
    return cluster.of("Ingress")["gateway"]


def _says(annotation: str, value: str) -> Change:
    name = f"nginx.ingress.kubernetes.io/proxy-{annotation}"
    return lambda cluster: _ingress(cluster)["metadata"]["annotations"].update({name: value})


def _ways(cluster: Cluster) -> list[Resource]:
    return _ingress(cluster)["spec"]["rules"][0]["http"]["paths"]


def _backend(cluster: Cluster) -> Resource:
    return _ways(cluster)[0]["backend"]["service"]


def _way(at: str, **how: str) -> Change:
    """Another way to what is `at` a path, or, without one, none."""

    def change(cluster: Cluster) -> None:
        (way,) = [each for each in _ways(cluster) if each["path"] == at]
        if how:
            _ways(cluster).append({**way, **how})
        else:
            _ways(cluster).remove(way)

    return change


PRODUCTION: Mistakes = {
    "files that nobody scans": (lambda c: c.config("files").update(SCANNER_URL=""), scans_what_is_uploaded),
    "no way to the scanner": (
        lambda c: c.resources.remove(c.of("NetworkPolicy")["needs-virus-scanner"]),
        reaches_outside_for_its_needs_only,
    ),
    "no way in": (lambda c: c.resources.remove(_ingress(c)), lets_the_outside_in),
    "a way in to nobody": (lambda c: _backend(c).update(name="gatewai"), lets_the_outside_in),
    "a way in past the gateway": (lambda c: _backend(c).update(name="auth"), lets_the_outside_in),
    "a way in by no port": (lambda c: _backend(c).update(port={"name": "web"}), lets_the_outside_in),
    "a way in without TLS": (lambda c: _ingress(c)["spec"].pop("tls"), lets_the_outside_in),
    "TLS for another host": (lambda c: _ingress(c)["spec"]["tls"][0].update(hosts=["x.example"]), lets_the_outside_in),
    "links to another host": (
        lambda c: c.config("services").update(PUBLIC_URL="https://elsewhere.example"),
        lets_the_outside_in,
    ),
    "all of the gateway, its metrics too": (_way("/", pathType="Prefix"), lets_the_outside_in),
    "metrics for everybody": (_way("/", path="/metrics"), lets_the_outside_in),
    "metrics with a slash": (_way("/", path="/metrics/"), lets_the_outside_in),
    "metrics by default": (
        lambda c: _ingress(c)["spec"].update(defaultBackend=_ways(c)[0]["backend"]),
        lets_the_outside_in,
    ),
    "no API": (_way("/api"), lets_the_outside_in),
    "no page of documents": (_way("/docs"), lets_the_outside_in),
    "a page without its script": (
        lambda c: [way.update(pathType="Exact") for way in _ways(c) if way["path"] == "/docs"],
        lets_the_outside_in,
    ),
    "no keys": (_way("/.well-known/jwks.json"), lets_the_outside_in),
    "no front door": (_way("/"), lets_the_outside_in),
    "paths as the controller likes": (
        lambda c: [way.update(pathType="ImplementationSpecific") for way in _ways(c) if way["path"] == "/api"],
        lets_the_outside_in,
    ),
    "no rosters": (_says("body-size", "1m"), lets_the_outside_in),
    "connections closed under a request": (
        lambda c: c.config("gateway").pop("KEEP_ALIVE_S"),
        lets_the_outside_in,
    ),
    "no time for rosters": (_says("read-timeout", "5"), lets_the_outside_in),
}
