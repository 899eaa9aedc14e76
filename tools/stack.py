"""The whole house as child processes: for `make run`, and for the tests that kill parts of it."""

import contextlib
import fcntl
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

import httpx

from shared.migrate import migrate
from tools.embedded import rabbitmq
from tools.embedded.mail_sink import EmbeddedMailSink
from tools.embedded.object_store import EmbeddedObjectStore
from tools.embedded.postgres import EmbeddedPostgres, prepare_database
from tools.embedded.processes import PartFailed, Process, Server, free_port
from tools.embedded.rabbitmq import EmbeddedRabbitMQ
from tools.embedded.valkey import EmbeddedValkey
from tools.environment import BUCKET, LOOPBACK, Addresses, gateway_env, load_or_make_secrets, service_env
from tools.topology import DATABASE, GATEWAY, SERVICE_NAMES, SERVICES

ROOT = Path(__file__).parent.parent
Bus = Literal["auto", "amqp", "valkey"]


class PythonServer(Server):
    """One of our own processes: ready when it says so itself."""

    def __init__(self, name: str, module: str, *arguments: str, env: Mapping[str, str], log: Path) -> None:
        self._url = f"http://{env['HOST']}:{env['PORT']}/health/ready"
        self.process = Process(name, [sys.executable, "-m", module, *arguments], log=log, env=env, cwd=ROOT)

    def is_ready(self) -> bool:
        try:
            return httpx.get(self._url, timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False


class Stack:
    """Five services, the gateway and their backing servers; all state in `directory`.

    `fixed_ports` takes the ports of the topology, otherwise free ones. `bus` is "auto" (RabbitMQ where it is
    installed), "amqp", "valkey", or the URL of a bus that runs elsewhere. `env` is added for each of our own
    processes. `say` is told what happened. Use as a context manager, or call `start` and `stop`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fixed_ports: bool = False,
        bus: Bus | str = "auto",
        env: Mapping[str, str] | None = None,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.directory = directory.absolute()
        self.mail_directory = self.directory / "mail"
        self.logs = self.directory / "logs"
        self.parts: dict[str, Server] = {}
        self._fixed_ports = fixed_ports
        self._bus = bus
        self._env = dict(env or {})
        self._say = say
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it is ready. When that fails, everything is stopped again.

        Raises PartFailed with one sentence for the person who asked.
        """
        self._take_directory()
        try:
            self._ports = self._choose_ports()
            self.secrets = load_or_make_secrets(self.directory / "secrets.json")
            self._start_servers()
            self._start_own()
        except BaseException:
            self.stop()
            raise

    def migrate(self) -> None:
        """Start Postgres alone, bring every schema up to date, and stop it again."""
        self._take_directory()
        try:
            self.secrets = load_or_make_secrets(self.directory / "secrets.json")
            self._make_servers()
            self._postgres.start()
            self._prepare_database()
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop what was started, our own processes before the servers they use."""
        own, servers = _split(self.parts)
        for group in (own, servers):
            for part in group:
                part.process.request_stop()
            for part in group:
                part.stop()
        self._lock.close()

    def watch(self) -> None:
        """Raises PartFailed as soon as any part has died."""
        for part in self.parts.values():
            part.process.ensure_running()

    def kill(self, part: str) -> None:
        """End a part as kill -9 does. Parts: the services, gateway, postgres, valkey, rabbitmq, object-store, mail."""
        self.parts[part].process.kill()

    def stop_part(self, part: str) -> None:
        """Ask a part for an orderly end, and wait for it."""
        self.parts[part].stop()

    def start_part(self, part: str) -> None:
        """Start a part that was killed or stopped, and wait until it is ready."""
        self.parts[part].start()

    def url(self, name: str = "gateway") -> str:
        """Where a service, or the gateway, answers."""
        return self.addresses.url(name)

    def service_env(self, service: str) -> dict[str, str]:
        """What a process of this service must find in its environment."""
        return service_env(service, self.addresses, self.secrets, self._env)

    def database_url(self, role: str) -> str:
        return self._postgres.url(role, self.secrets.database[role], DATABASE)

    @property
    def admin_url(self) -> str:
        """The superuser, in our database."""
        return urlsplit(self._postgres.admin_url)._replace(path=f"/{DATABASE}").geturl()

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            ports=self._ports,
            database_urls={role: self.database_url(role) for role in self.secrets.database},
            redis_url=self._valkey.url,
            bus_url=self._bus_url,
            object_store_url=self._object_store.url,
            smtp_url=self._mail.url,
            traces=self.directory / "traces",
        )

    def _take_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._lock.enter_context((self.directory / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise PartFailed(f"Homeroom runs already from {self.directory}; stop it first.") from None
        shutil.rmtree(self.logs, ignore_errors=True)
        for folder in (self.logs, self.mail_directory, self.directory / "traces"):
            folder.mkdir(exist_ok=True)

    def _choose_ports(self) -> dict[str, int]:
        if not self._fixed_ports:
            return {name: free_port() for name in (*SERVICE_NAMES, GATEWAY.name)}
        for service in (*SERVICES, GATEWAY):
            _ensure_free(service.port, service.name)
        return {service.name: service.port for service in (*SERVICES, GATEWAY)}

    def _start_servers(self) -> None:
        """Begin them all, then wait; the schemas are made while the slower ones still start."""
        self._make_servers()
        for part in self.parts.values():
            part.begin()
        self._wait_for("postgres")
        self._prepare_database()
        self._wait_for(*(name for name in self.parts if name != "postgres"))

    def _make_servers(self) -> None:
        self._valkey = EmbeddedValkey(self.directory / "valkey", password=self.secrets.redis, log=self._log("valkey"))
        self._object_store = EmbeddedObjectStore(
            self.directory / "objects",
            access_key_id=self.secrets.s3_access_key_id,
            secret_access_key=self.secrets.s3_secret_access_key,
            bucket=BUCKET,
            log=self._log("object-store"),
        )
        self._mail = EmbeddedMailSink(self.mail_directory, log=self._log("mail"))
        self._postgres = EmbeddedPostgres(self.directory / "postgres", log=self._log("postgres"))
        self._bus_url = self._make_bus()
        self.parts |= {
            "valkey": self._valkey,
            "object-store": self._object_store,
            "mail": self._mail,
            "postgres": self._postgres,
        }

    def _make_bus(self) -> str:
        """Choose the bus; a RabbitMQ of our own goes first, as it takes longest to start."""
        if "://" in self._bus:
            return self._bus
        if self._bus == "valkey" or (self._bus == "auto" and not rabbitmq.is_installed()):
            return "valkey://" + self._valkey.url.removeprefix("redis://")
        if not rabbitmq.is_installed():
            raise PartFailed(
                "RabbitMQ is not installed (Debian package rabbitmq-server); the bus can be Valkey instead."
            )
        broker = EmbeddedRabbitMQ(self.directory / "rabbitmq", log=self._log("rabbitmq"))
        self.parts["rabbitmq"] = broker
        return broker.url

    def _prepare_database(self) -> None:
        began = time.monotonic()
        prepare_database(self._postgres.admin_url, DATABASE, self.secrets.database)
        with self._log("migrations").open("w") as log, contextlib.redirect_stdout(log):
            applied = sum(len(migrate(name, owner_url=self.database_url(f"{name}_owner"))) for name in SERVICE_NAMES)
        self._say(f"{applied} migrations applied in {time.monotonic() - began:.1f} s")

    def _start_own(self) -> None:
        for name in SERVICE_NAMES:
            env = self.service_env(name)
            self.parts[name] = PythonServer(name, f"services.{name}", "serve", env=env, log=self._log(name))
        env = gateway_env(self.addresses, self._env)
        self.parts[GATEWAY.name] = PythonServer("gateway", "gateway", env=env, log=self._log("gateway"))
        own = (*SERVICE_NAMES, GATEWAY.name)
        for name in own:
            self.parts[name].begin()
        self._wait_for(*own)

    def _wait_for(self, *names: str) -> None:
        for name in names:
            self.parts[name].wait_ready()
            self._say(f"{name} is ready")

    def _log(self, part: str) -> Path:
        return self.logs / f"{part}.log"


def _split(parts: Mapping[str, Server]) -> tuple[Iterable[Server], Iterable[Server]]:
    own = [part for part in parts.values() if isinstance(part, PythonServer)]
    return own, [part for part in parts.values() if not isinstance(part, PythonServer)]


def _ensure_free(port: int, service: str) -> None:
    with socket.socket() as probe:
        # As our servers do: a connection that is still winding down does not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise PartFailed(f"Port {port}, where {service} answers, cannot be used: {reason}.") from None
