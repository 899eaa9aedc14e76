"""Bar B22: every service and every gateway is restarted under load, in order, and no request fails."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import msgspec
import pytest

from gateway.tests.upstreams import answer, served
from shared.ids import new_id
from shared.testing.tokens import Tokens
from tests.chaos.harness import python
from tests.deploy.conftest import Alone
from tests.deploy.edge import CONFIGURATION, GatewayProcess, Nginx, started
from tools.embedded.processes import Server, free_port
from tools.topology import SERVICE_NAMES

GRACE_S: Final = 10.0
DRAIN_S: Final = 5.0
"""As in production: longer than any connection is kept idle, here and in nginx."""
CLIENTS: Final = 10
READS: Final = {
    "auth": "/api/v1/invites",
    "school": "/api/v1/rooms",
    "academic": "/api/v1/students",
    "communication": f"/api/v1/contacts?class_id={UUID(int=1)}",
    "notification": "/api/v1/deliveries",
}
WRITES: Final = {
    "auth": "/api/v1/auth/refresh",
    "school": "/api/v1/rooms",
    "academic": "/api/v1/classes",
    "notification": "/api/v1/inbox/read-all",
}


class Instance(Server):
    """One process of a service, as a pod runs it: the pools are those of the cluster."""

    def __init__(self, directory: Path, name: str, env: dict[str, str]) -> None:
        self.port = free_port()
        variables = {
            **env,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATABASE_POOL_MAX": "2",
            "WORKER_POOL_MAX": "2",
        }
        log = directory / f"{name}-{self.port}.log"
        self.process = python(f"{name} {self.port}", f"services.{name}", "serve", log=log, env=variables)

    def is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/health/ready", trust_env=False, timeout=5).is_success
        return False


class Address:
    """What a Service is in a cluster: new connections go to one of the pods that are ready, open ones stay."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self._ready: list[Instance] = []
        self._turn = itertools.count()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        looking = asyncio.create_task(self._look())
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            looking.cancel()
            server.close()

    async def _look(self) -> None:
        while True:
            found = await asyncio.gather(*(asyncio.to_thread(instance.is_ready) for instance in self._instances))
            self._ready = [each for each, ready in zip(self._instances, found, strict=True) if ready]
            await asyncio.sleep(0.3)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._ready:
            writer.close()
            return
        chosen = self._ready[next(self._turn) % len(self._ready)]
        try:
            there = await asyncio.open_connection("127.0.0.1", chosen.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await source.read(65536):
            target.write(part)
            await target.drain()
    with suppress(OSError):
        target.close()


class Load:
    """Reads and writes to all services in turn; an answer counts when it is the one that was given at rest."""

    def __init__(self, url: str, tokens: Tokens) -> None:
        self.failures: Counter[str] = Counter()
        self.succeeded = 0
        self._url = url
        self._headers = tokens.headers("school_admin", school_id=new_id(), person_id=new_id())
        self._asked = [("GET", path) for path in READS.values()] + [("POST", path) for path in WRITES.values()]
        self._expected: dict[tuple[str, str], int] = {}
        self._is_over = False

    async def learn(self) -> dict[tuple[str, str], int]:
        async with self._client() as client:
            for method, path in self._asked:
                response = await client.request(method, path, json=None if method == "GET" else {})
                self._expected[method, path] = response.status_code
        return self._expected

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        going = [asyncio.create_task(self._go_on(number)) for number in range(CLIENTS)]
        try:
            yield
        finally:
            self._is_over = True
            await asyncio.gather(*going)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._url, headers=self._headers, trust_env=False, timeout=30)

    async def _go_on(self, start: int) -> None:
        async with self._client() as client:
            for number in itertools.count(start):
                if self._is_over:
                    return
                method, path = self._asked[number % len(self._asked)]
                try:
                    response = await client.request(method, path, json=None if method == "GET" else {})
                except httpx.HTTPError as error:
                    self.failures[f"{method} {path} {type(error).__name__}"] += 1
                    continue
                if response.status_code == self._expected[method, path]:
                    self.succeeded += 1
                else:
                    self.failures[f"{method} {path} {response.status_code}"] += 1
                await asyncio.sleep(0.03)


class House:
    def __init__(self, instances: dict[str, list[Instance]], gateways: list[GatewayProcess], nginx: Nginx) -> None:
        self.instances = instances
        self.gateways = gateways
        self.nginx = nginx


@pytest.fixture
async def house(request: pytest.FixtureRequest, alone: Alone, tokens: Tokens, tmp_path: Path) -> AsyncGenerator[House]:
    drain_s = getattr(request, "param", DRAIN_S)
    stopping = {"DRAIN_S": str(drain_s), "STOP_GRACE_S": str(GRACE_S), "LOG_LEVEL": "WARNING"}

    async def keys(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await answer(send, msgspec.json.encode(await tokens._keys()))

    async with served(keys) as keys_url:
        common = {**stopping, "JWKS_URL": keys_url}
        instances = {
            name: [Instance(tmp_path, name, {**alone.service_env(name), **common}) for _ in range(2)]
            for name in SERVICE_NAMES
        }
        async with contexts([Address(instances[name]) for name in SERVICE_NAMES]) as urls:
            upstreams = dict(zip(SERVICE_NAMES, urls, strict=True))
            gateways = [GatewayProcess(tmp_path, alone, upstreams, **common) for _ in range(3)]
            nginx = Nginx(tmp_path, [gateway.port for gateway in gateways], CONFIGURATION.read_text())
            everybody = [instance for pair in instances.values() for instance in pair]
            async with started([*everybody, *gateways, nginx]):
                await asyncio.sleep(1)  # the addresses look round
                yield House(instances, gateways, nginx)


@asynccontextmanager
async def contexts(addresses: Sequence[Address]) -> AsyncGenerator[list[str]]:
    if not addresses:
        yield []
        return
    async with addresses[0].open() as url, contexts(addresses[1:]) as urls:
        yield [url, *urls]


async def end_in_order(servers: Sequence[Server]) -> None:
    """SIGTERM, and how it went; all at once, as in a roll-out of the whole house."""
    for server in servers:
        server.process.ensure_running()
        server.process.request_stop()
    began = time.monotonic()
    codes = await asyncio.gather(*(asyncio.to_thread(server.process.wait, DRAIN_S + GRACE_S + 5) for server in servers))
    assert set(codes) == {0}, codes
    assert time.monotonic() - began < DRAIN_S + GRACE_S + 2


async def rolled(house: House, tokens: Tokens) -> Load:
    load = Load(house.nginx.url, tokens)
    at_rest = await load.learn()
    assert not [path for path, status in at_rest.items() if status >= 500 or status in {401, 429}], at_rest
    reads = {path: status for (method, path), status in at_rest.items() if method == "GET"}
    # There is no such class: the service has looked for it.
    assert reads == {path: 404 if "class_id" in path else 200 for path in READS.values()}, at_rest
    async with load.running():
        for number in (0, 1):
            group = [pair[number] for pair in house.instances.values()]
            await end_in_order(group)
            if number == 0:
                await restart(group)
        for gateway in house.gateways[:2]:
            await end_in_order([gateway])
            await restart([gateway])
    return load


async def restart(servers: Sequence[Server]) -> None:
    for server in servers:
        server.begin()
    for server in servers:
        await asyncio.to_thread(server.wait_ready)
    await asyncio.sleep(0.7)  # the addresses look round


async def killed(house: House, tokens: Tokens) -> Load:
    """The control: one process of each service ends as kill -9 ends it."""
    load = Load(house.nginx.url, tokens)
    await load.learn()
    async with load.running():
        for first, _ in house.instances.values():
            await asyncio.sleep(0.2)
            first.process.kill()
        await asyncio.sleep(0.5)
    return load


@pytest.mark.chaos
async def test_a_roll_out_fails_no_request_and_a_kill_does(house: House, tokens: Tokens) -> None:
    load = await rolled(house, tokens)
    control = await killed(house, tokens)

    assert load.failures == Counter()
    assert load.succeeded > 500
    assert control.failures, "this load would not notice"
