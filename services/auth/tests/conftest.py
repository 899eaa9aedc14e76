from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx
import pytest

from services.auth.app import create_app
from services.auth.kit import Kit
from services.auth.settings import Settings
from services.auth.tests.house import House
from services.auth.worker import create_worker
from shared.database import Database
from shared.identity import Verifier
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return stack.settings(Settings, "auth", client_ip_header="x-client-ip")


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    async with Database(settings) as database:
        yield database


@pytest.fixture
async def kit(settings: Settings) -> AsyncGenerator[Kit]:
    kit = Kit(settings)
    yield kit
    await kit.close()


@pytest.fixture
async def worker(settings: Settings, database: Database, kit: Kit) -> AsyncGenerator[Worker]:
    async with create_worker(settings, database, kit).opened() as worker:
        yield worker


@pytest.fixture
async def client(settings: Settings, tokens: Tokens) -> AsyncGenerator[httpx.AsyncClient]:
    """Accepts the tokens of the test run, and those that the service itself issues, by its published keys."""
    clients: list[httpx.AsyncClient] = []

    async def keys() -> Mapping[str, Any]:
        own = (await clients[0].get("/.well-known/jwks.json")).json()["keys"]
        return {"keys": [*own, *(await tokens.keys())["keys"]]}

    verifier = Verifier(keys)
    async with client_of(create_app(settings, verifier)) as client:
        clients.append(client)
        await verifier.verify(tokens.token("teacher"))  # the keys are there before requests come at once
        yield client


@pytest.fixture
def house(client: httpx.AsyncClient, worker: Worker, kit: Kit, tokens: Tokens, stack: Stack) -> House:
    return House(client, worker, kit, tokens, stack)
