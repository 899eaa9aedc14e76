"""A private RabbitMQ node where the Debian package is installed; the system's own broker stays untouched (ADR 0102)."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.embedded.processes import PartFailed, Process, Server, free_port, is_listening

# The package's scripts in /usr/sbin change to the user `rabbitmq` and insist on root; these do neither.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
NODE = "homeroom@localhost"
USER = "homeroom"
CTL_TIMEOUT_S = 60.0


def is_installed() -> bool:
    return _script("rabbitmq-server") is not None and shutil.which("epmd") is not None


class EmbeddedRabbitMQ(Server):
    """A node with its own name server, cookie, user and directory; nothing in it can reach another node."""

    stop_grace_s = 30.0

    def __init__(self, directory: Path, *, port: int | None = None, log: Path | None = None) -> None:
        self.port = port or free_port()
        self._directory = directory.absolute()
        self._epmd_port = free_port()
        self._environment = _environment(self._directory, self.port, self._epmd_port)
        log = log or self._directory / "rabbitmq.log"
        self._name_server = Process(
            "RabbitMQ's name server",
            [shutil.which("epmd") or "epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)],
            log=log.with_name(f"{log.stem}-epmd.log"),
            env=self._environment,
        )
        self.process = Process(
            "RabbitMQ", [_script("rabbitmq-server") or "rabbitmq-server"], log=log, env=self._environment
        )

    def begin(self) -> None:
        """Start, also after `kill`: the data are still there."""
        self._write_files()
        if not self._name_server.is_running:
            self._name_server.start()
            self._name_server.wait_ready(lambda: is_listening(self._epmd_port), self.start_timeout_s)
        super().begin()

    def is_ready(self) -> bool:
        # The listener is opened as the last step of the start.
        return is_listening(self.port)

    def kill(self) -> None:
        """End the node as kill -9 does; `start` brings it back with its data."""
        self.process.kill()

    def stop(self) -> None:
        super().stop()
        self._name_server.stop()

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{self._secret('password')}@127.0.0.1:{self.port}/"

    def ctl(self, *arguments: str) -> str:
        """The output of `rabbitmqctl` on this node. Raises PartFailed with what it complained of."""
        finished = subprocess.run(
            [_script("rabbitmqctl") or "rabbitmqctl", "--quiet", "--node", NODE, *arguments],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=CTL_TIMEOUT_S,
        )
        if finished.returncode:
            raise PartFailed(f"rabbitmqctl {' '.join(arguments)} failed: {finished.stderr.strip()}")
        return finished.stdout

    def _write_files(self) -> None:
        self._secret(".erlang.cookie")
        (self._directory / "enabled_plugins").write_text("[].\n")
        (self._directory / "rabbitmq-env.conf").touch()
        configuration = self._directory / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"default_user = {USER}\n"  # also means that there is no user `guest`
            f"default_pass = {self._secret('password')}\n"
            "disk_free_limit.absolute = 64MB\n"
        )

    def _secret(self, name: str) -> str:
        """Made once, then kept: the node remembers its password, and its peers the cookie."""
        path = self._directory / name
        if not path.exists():
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
            path.chmod(0o400)
        return path.read_text()


def _environment(directory: Path, port: int, epmd_port: int) -> Mapping[str, str]:
    return {
        "HOME": str(directory),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
        "RABBITMQ_CONF_ENV_FILE": str(directory / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(directory / "schema"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_PID_FILE": str(directory / "node.pid"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_LOGS": "-",
        # Makes the start script become the node instead of its guardian, so that signals reach the node.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _script(name: str) -> str | None:
    return shutil.which(name, path=str(SCRIPTS)) or shutil.which(name)
