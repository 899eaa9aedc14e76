"""The house as a cluster runs it: two processes of each service behind an address, three gateways behind nginx."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.tests.upstreams import answer, served
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.chaos.harness import python
from tests.deploy.edge import CONFIGURATION, GatewayProcess, Nginx, readiness, started
from tools.embedded.processes import Server, free_port
from tools.topology import SERVICE_NAMES

LOOK_S: Final = 0.3
"""How often an address asks each pod whether it is ready."""
REFUSALS: Final = 2
"""So often in a row a pod is not ready before it leaves the list, as in the cluster: one may be just too busy."""


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
        return readiness(self.port) == 200


class Address:
    """What a Service is in a cluster: new connections go to one of the pods that are ready, open ones stay."""

    def __init__(self, name: str, instances: Sequence[Instance]) -> None:
        self._name = name
        self._instances = instances
        self._ready: list[Instance] = []
        self.troubles: list[str] = []
        """When nobody could be reached, and who should have been."""
        self._turn = itertools.count()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        looking = [asyncio.create_task(self._look_at(each)) for each in self._instances]
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            for each in looking:
                each.cancel()
            server.close()

    async def leads_to(self, instance: Instance) -> None:
        while instance not in self._ready:
            instance.process.ensure_running()
            await asyncio.sleep(0.05)

    async def _look_at(self, instance: Instance) -> None:
        refusals = 0
        while True:
            is_ready = await asyncio.to_thread(instance.is_ready)
            refusals = 0 if is_ready else refusals + 1
            if is_ready and instance not in self._ready:
                self._ready.append(instance)
            elif refusals == REFUSALS and instance in self._ready:
                self._ready.remove(instance)
            await asyncio.sleep(LOOK_S)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._ready:
            self._trouble("has no pod that is ready")
            writer.close()
            return
        chosen = self._ready[next(self._turn) % len(self._ready)]
        try:
            there = await asyncio.open_connection("127.0.0.1", chosen.port)
        except OSError as error:
            self._trouble(f"leads to {chosen.process.name}: {type(error).__name__}")
            writer.close()
            return
        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    def _trouble(self, what: str) -> None:
        self.troubles.append(f"{time.strftime('%X')} {self._name} {what}")


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await source.read(65536):
            target.write(part)
            await target.drain()
    with suppress(OSError):
        target.close()


class House:
    def __init__(
        self,
        stack: Stack,
        instances: dict[str, list[Instance]],
        addresses: dict[str, Address],
        gateways: list[GatewayProcess],
        nginx: Nginx,
    ) -> None:
        self.stack = stack
        self.instances = instances
        self.addresses = addresses
        self.gateways = gateways
        self.nginx = nginx

    @property
    def troubles(self) -> list[str]:
        return [trouble for address in self.addresses.values() for trouble in address.troubles]

    @property
    def pods(self) -> list[Instance | GatewayProcess]:
        """Everything that a roll-out restarts."""
        return [*itertools.chain.from_iterable(self.instances.values()), *self.gateways]


@asynccontextmanager
async def keys_of(tokens: Tokens) -> AsyncGenerator[str]:
    """Where the public keys of these tokens are told, as auth tells its own."""

    async def keys(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await answer(send, msgspec.json.encode(await tokens.keys()))

    async with served(keys) as url:
        yield url


@asynccontextmanager
async def running_house(stack: Stack, tokens: Tokens, directory: Path, **env: str) -> AsyncGenerator[House]:
    async with AsyncExitStack() as opened:
        common = {**env, "JWKS_URL": await opened.enter_async_context(keys_of(tokens)), "LOG_LEVEL": "WARNING"}
        instances = {
            name: [Instance(directory, name, {**stack.service_env(name), **common}) for _ in range(2)]
            for name in SERVICE_NAMES
        }
        addresses = {name: Address(name, pair) for name, pair in instances.items()}
        upstreams = {name: await opened.enter_async_context(each.open()) for name, each in addresses.items()}
        gateways = [GatewayProcess(directory, stack, upstreams, **common) for _ in range(3)]
        nginx = Nginx(directory, [gateway.port for gateway in gateways], CONFIGURATION.read_text())
        house = House(stack, instances, addresses, gateways, nginx)
        async with started([*house.pods, nginx]):
            for name, pair in instances.items():
                for instance in pair:
                    await addresses[name].leads_to(instance)
            yield house
