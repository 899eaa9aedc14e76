"""The scripts of deploy/postgres, on real servers: what they make is what the tests run on, and a replica follows."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.deploy.manifests import ROOT
from tools.embedded.postgres import BINARIES, UNPRIVILEGED, EmbeddedPostgres, prepare_database
from tools.embedded.processes import Process, free_port, wait_until
from tools.topology import SERVICE_NAMES

DEPLOY = ROOT / "deploy/postgres"
PASSWORDS = {f"{service}_{role}": f"it's a \\ {service}" for service in SERVICE_NAMES for role in ("owner", "app")}
REPLICATION_PASSWORD = "a password of replication"
ROLES = """
SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, s.setconfig
FROM pg_roles r LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid
WHERE rolname ~ '_(owner|app)$' AND rolname !~ '^pg_' ORDER BY rolname
"""
SCHEMAS = "SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"
DATABASE = (
    "SELECT datacl::text, datcollate, datlocale, datlocprovider FROM pg_database WHERE datname = current_database()"
)
EXTENSIONS = "SELECT extname, extnamespace::regnamespace::text FROM pg_extension ORDER BY 1"


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("primary"), durable=False)
    server.start()
    yield server
    server.stop()


def environment(server: EmbeddedPostgres, **more: str) -> dict[str, str]:
    password = psycopg.conninfo.conninfo_to_dict(server.admin_url)["password"]
    roles = {f"{role.upper()}_PASSWORD": secret for role, secret in PASSWORDS.items()}
    return {
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGPASSWORD": str(password),
        "REPLICATION_PASSWORD": REPLICATION_PASSWORD,
        "SQL_DIRECTORY": str(DEPLOY / "sql"),
        **roles,
        **more,
    }


def initialise(server: EmbeddedPostgres, database: str, directory: Path) -> None:
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
    again(server, database, directory)


def again(server: EmbeddedPostgres, database: str, directory: Path) -> None:
    """As the image of Postgres does: in the order of their names."""
    directory.mkdir(exist_ok=True)
    env = environment(server, POSTGRES_DB=database, PGDATA=str(directory))
    for script in sorted((DEPLOY / "init").glob("*.sh")):
        ended = subprocess.run([script], env=env, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


def facts(server: EmbeddedPostgres, database: str) -> list[list[Any]]:
    with psycopg.connect(server.admin_url, dbname=database) as connection:
        return [connection.execute(query).fetchall() for query in (ROLES, SCHEMAS, DATABASE, EXTENSIONS)]


def test_the_scripts_make_what_the_tests_run_on(primary: EmbeddedPostgres, tmp_path: Path) -> None:
    initialise(primary, "by_scripts", tmp_path / "data")
    made = facts(primary, "by_scripts")
    prepare_database(primary.admin_url, "by_python", PASSWORDS)

    assert len(made[0]) == 2 * len(SERVICE_NAMES)
    assert made == facts(primary, "by_python")
    for role, password in PASSWORDS.items():
        psycopg.connect(primary.url(role, password, "by_scripts")).close()


def test_the_scripts_may_be_repeated(primary: EmbeddedPostgres, tmp_path: Path) -> None:
    initialise(primary, "repeated", tmp_path / "data")
    before = facts(primary, "repeated")
    again(primary, "repeated", tmp_path / "data")

    assert facts(primary, "repeated") == before


def test_control_a_role_with_a_right_more_is_found(primary: EmbeddedPostgres, tmp_path: Path) -> None:
    initialise(primary, "careless", tmp_path / "data")
    before = facts(primary, "careless")
    with psycopg.connect(primary.admin_url, dbname="careless") as connection:
        connection.execute("GRANT USAGE ON SCHEMA auth TO school_app")

    assert facts(primary, "careless") != before


def test_a_replica_is_made_and_follows(primary: EmbeddedPostgres, tmp_path: Path) -> None:
    initialise(primary, "followed", tmp_path / "init")
    directory, port = tmp_path / "replica", free_port()
    directory.mkdir()
    # A folder from a copy that was cut short is in the way of nobody.
    (directory / "data.unfinished").mkdir()
    if os.geteuid() == 0:
        for path in (directory, directory / "data.unfinished"):
            os.chown(path, 65534, 65534)
    replica = replica_of(primary, directory, port)
    url = primary.url("auth_app", PASSWORDS["auth_app"], "followed").replace(f":{primary.port}/", f":{port}/")
    replica.start()
    try:
        replica.wait_ready(lambda: answers(url, "SELECT pg_is_in_recovery()") is True, 60)
        with psycopg.connect(primary.admin_url, dbname="followed") as connection:
            connection.execute("CREATE TABLE auth.note AS SELECT 'told' AS text; GRANT SELECT ON auth.note TO auth_app")

        wait_until(lambda: answers(url, "SELECT text FROM auth.note") == "told", 20, "the replica to follow")
        replica.stop()
        mounted_with_fs_group(directory)
        replica.start()
        replica.wait_ready(lambda: answers(url, "SELECT text FROM auth.note") == "told", 60)
        slot = answers(
            primary.admin_url,
            "SELECT active FROM pg_replication_slots WHERE slot_name = 'replica' AND wal_status = 'reserved'",
        )
        assert slot is True
    finally:
        replica.stop()


def mounted_with_fs_group(directory: Path) -> None:
    """As a kubelet does it at each mount, unless it is told to look at the root alone."""
    for path in (directory, *directory.rglob("*")):
        path.chmod(path.stat().st_mode | (0o2770 if path.is_dir() else 0o660))


def replica_of(primary: EmbeddedPostgres, directory: Path, port: int) -> Process:
    data = directory / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, 65534, 65534)
    env = environment(primary, PGDATA=str(data), PRIMARY_HOST="127.0.0.1", PRIMARY_PORT=str(primary.port))
    return Process(
        "the replica",
        [DEPLOY / "replica/start.sh", f"--port={port}", "--listen_addresses=127.0.0.1", "--unix_socket_directories="],
        log=directory.parent / "replica.log",
        env=env,
        privileges=UNPRIVILEGED if os.geteuid() == 0 else (),
    )


def answers(url: str, query: str) -> object:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(query).fetchone()
            return row[0] if row else None
    except psycopg.Error:
        return None
