"""The real nginx with the run files' own configuration, and real gateways behind it."""

import asyncio
import http.client
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import redis

from shared.testing.stack import Stack
from tests.chaos.harness import python
from tests.deploy.manifests import ROOT
from tools.embedded.processes import Process, Server, free_port, is_listening
from tools.topology import SERVICE_NAMES

CONFIGURATION = ROOT / "deploy/nginx/nginx.conf"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
GATEWAY_PORT = 8000
WEIGHTS = (3, 3, 2)


class Nginx(Server):
    """`text` is the configuration; only addresses, the port and folders are put in. Never a daemon."""

    stop_grace_s = 20.0

    def __init__(self, directory: Path, ports: Sequence[int], text: str) -> None:
        self.port = free_port()
        self.directory = directory / f"nginx-{self.port}"
        self.directory.mkdir()
        for number, port in enumerate(ports, 1):
            text, found = re.subn(rf"\bgateway-{number}:{GATEWAY_PORT}\b", f"127.0.0.1:{port}", text)
            assert found == 1
        text = text.replace("listen 8080 ", f"listen 127.0.0.1:{self.port} ")
        text = re.sub(r" /tmp/", f" {self.directory}/", text)
        text = text.replace("/dev/stdout", f"{self.directory}/access.log").replace(
            "/dev/stderr", f"{self.directory}/error.log"
        )
        configuration = self.directory / "nginx.conf"
        configuration.write_text(text)
        # Root's nginx would hand its work to a user who may not enter the test's folder.
        user = "user root;" if os.geteuid() == 0 else ""
        self.process = Process(
            "nginx",
            [NGINX, "-c", configuration, "-e", self.directory / "error.log", "-g", f"daemon off; {user}"],
            log=self.directory / "output.log",
            stop_signal=signal.SIGQUIT,
        )

    def is_ready(self) -> bool:
        return is_listening(self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lines(self) -> list[dict[str, object]]:
        """The access log, of what went to a gateway."""
        log = self.directory / "access.log"
        lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()] if log.exists() else []
        return [line for line in lines if line["upstream"]]

    def tried_again(self) -> list[dict[str, object]]:
        return [line for line in self.lines() if "," in str(line["upstream"])]


class GatewayProcess(Server):
    """A gateway as `python -m gateway` runs it, or another `module` that is one."""

    stop_grace_s = 20.0

    def __init__(
        self, directory: Path, stack: Stack, upstreams: dict[str, str], *, module: str = "gateway", **env: str
    ) -> None:
        self.port = free_port()
        variables = {
            **stack.service_env("gateway"),
            **{f"{name.upper()}_URL": upstreams[name] for name in SERVICE_NAMES},
            "JWKS_URL": f"{upstreams['auth']}/.well-known/jwks.json",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "TRUSTED_PROXY_HOPS": "1",
            "ANONYMOUS_REQUESTS": "1000000",
            "USER_REQUESTS": "1000000",
            **env,
        }
        self.process = python(f"gateway {self.port}", module, log=directory / f"gateway-{self.port}.log", env=variables)

    def is_ready(self) -> bool:
        return readiness(self.port) == 200


def forget_quotas(stack: Stack) -> None:
    """Whatever tests before this one have used up; theirs may be quotas of a whole day."""
    with redis.Redis.from_url(stack.redis_url) as client:
        client.flushdb()


def readiness(port: int) -> int | None:
    """The status of `/health/ready`; None when nobody answers. An httpx client costs 200 ms each time it is made."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@asynccontextmanager
async def started(servers: Sequence[Server]) -> AsyncGenerator[None]:
    """Begun all at once; stopped in order, whatever happens."""
    try:
        for server in servers:
            server.begin()
        for server in servers:
            await asyncio.to_thread(server.wait_ready)
        yield
    finally:
        for server in servers:
            server.process.request_stop()
        for server in servers:
            await asyncio.to_thread(server.stop)


class Load:
    """Requests one after the other from each of `clients`, until it is stopped; what did not succeed is told."""

    def __init__(self, ask: Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]], clients: int = 12) -> None:
        self.succeeded = 0
        self.failures: Counter[str] = Counter()
        self._ask = ask
        self._clients = clients
        self._is_over = False

    @asynccontextmanager
    async def on(self, url: str) -> AsyncGenerator["Load"]:
        self._is_over = False
        running = [asyncio.create_task(self._go_on(url, number)) for number in range(self._clients)]
        try:
            yield self
        finally:
            self._is_over = True
            await asyncio.gather(*running)

    async def more(self, requests: int, *, within_s: float = 20.0) -> None:
        """Wait for so many further requests, whatever becomes of them."""
        wanted, deadline = self.count + requests, time.monotonic() + within_s
        while self.count < wanted:
            assert time.monotonic() < deadline, f"{self.count} of {wanted} requests; {self.failures}"
            await asyncio.sleep(0.02)

    @property
    def count(self) -> int:
        return self.succeeded + self.failures.total()

    async def _go_on(self, url: str, number: int) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            while not self._is_over:
                try:
                    response = await self._ask(client, number)
                except httpx.HTTPError as error:
                    self.failures[type(error).__name__] += 1
                    continue
                if response.is_success:
                    self.succeeded += 1
                else:
                    self.failures[f"{response.request.method} {response.status_code}"] += 1
                await asyncio.sleep(0.01)
