"""Child processes that leave nothing behind."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

POLL_S = 0.05
LAST_WORDS_LIMIT = 300

KERNEL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_PORT = 10_000
HIGHEST_PORT = 32_768

_given: set[int] = set()

# The kernel ties a child's death signal to the thread that started it, so every child is started by one thread
# that lives as long as we do.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class PartFailed(Exception):
    """A part did not start, or died. The message is one sentence for the person at the terminal."""


class Process:
    """A child in a process group of its own, stopped by its own id, and by the kernel should we die first.

    `env` is added to our own environment. `stop_signal` asks for an orderly end. `privileges` are options of
    setpriv(1) that change who the child is. All output is appended to `log`.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        privileges: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._argv = _dying_with_us(stop_signal, privileges) + [str(argument) for argument in argv]
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self) -> None:
        """Start without waiting for readiness. Raises PartFailed when there is nothing to run."""
        assert not self.is_running, f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            try:
                self._child = _spawner.submit(
                    subprocess.Popen,
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                ).result()
            except OSError as error:
                raise PartFailed(f"{self.name} cannot be started: {error}.") from error

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was never started"
        return self._child.pid

    def wait_ready(self, check: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `check` holds. Raises PartFailed when the process dies first, or when it takes too long."""
        wait_until(lambda: self.ensure_running() or check(), timeout_s, f"{self.name} to be ready (log: {self.log})")

    def ensure_running(self) -> None:
        """Raises PartFailed, with the last line of the log, when the process has ended."""
        if not self.is_running:
            raise PartFailed(self._ending())

    def ensure_succeeded(self) -> None:
        """Raises PartFailed, with the last line of the log, unless the process has ended well."""
        if self._child is None or self._child.poll() != 0:
            raise PartFailed(self._ending())

    def request_stop(self) -> None:
        """Ask for an orderly end, without waiting for it."""
        if self._child is not None and self.is_running:
            self._child.send_signal(self._stop_signal)

    def stop(self, grace_s: float = 10.0) -> None:
        """Ask for an orderly end, wait for `grace_s`, then kill whatever is left of the process group."""
        self.request_stop()
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(grace_s)
        self.kill()

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or None when it still runs after `timeout_s`."""
        assert self._child is not None, f"{self.name} was never started"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout_s)
        return self._child.returncode

    def kill(self) -> None:
        """End the whole process group at once, as kill -9 does."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def output(self) -> str:
        """What has been logged since this run of the process began."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def last_words(self) -> str:
        """The last line that this run of the process wrote."""
        lines = self.output().split("\n")
        return next((line.strip()[:LAST_WORDS_LIMIT] for line in reversed(lines) if line.strip()), "(nothing)")

    def _ending(self) -> str:
        code = self._child.poll() if self._child else None
        if code is None:
            return f"{self.name} does not run."
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{self.name} {how}; the last line of {self.log} is: {self.last_words()}"


class Server(ABC):
    """A process that others connect to. `begin` and `wait_ready` let several start at once; `start` does both."""

    process: Process
    start_timeout_s = 60.0
    stop_grace_s = 10.0

    def start(self) -> None:
        self.begin()
        self.wait_ready()

    def begin(self) -> None:
        self.process.start()

    def wait_ready(self) -> None:
        self.process.wait_ready(self.is_ready, self.start_timeout_s)

    def stop(self) -> None:
        self.process.stop(self.stop_grace_s)

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether clients would be served now."""


def wheel_directory(package: str) -> Path:
    """Where a wheel's files are. The package is not imported: we want its programs, not its Python.

    Raises PartFailed when it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise PartFailed(f"The Python package {package} is not installed; run `make setup`.")
    return Path(spec.origin).parent


def free_port() -> int:
    """A port of the loopback interface that is free now, and that no connection takes for its own end by chance.

    The kernel picks the near end of a connection from a range of its own: a port from there may be gone by the time
    that its server has started.
    """
    first_of_kernel = int(KERNEL_PORTS.read_text().split()[0]) if KERNEL_PORTS.exists() else HIGHEST_PORT
    while True:
        port = secrets.choice(range(LOWEST_PORT, max(first_of_kernel, LOWEST_PORT + 1000)))
        if port not in _given and _can_be_bound(port):
            _given.add(port)
            return port


def _can_be_bound(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(check: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll `check`. Raises PartFailed after `timeout_s`; `what` completes "waited for …"."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            raise PartFailed(f"Waited {timeout_s:g} s in vain for {what}.")
        time.sleep(POLL_S)


def _dying_with_us(stop_signal: signal.Signals, privileges: Sequence[str]) -> list[str]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if privileges:
            raise PartFailed(
                "The tool setpriv is missing (Debian package util-linux); without it root runs no Postgres."
            )
        return []
    return [setpriv, "--pdeathsig", stop_signal.name.removeprefix("SIG"), *privileges, "--"]
