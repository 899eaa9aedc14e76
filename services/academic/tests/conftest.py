from collections.abc import AsyncGenerator

import httpx
import pytest

from services.academic.app import create_app
from services.academic.settings import Settings
from services.academic.tests.factories import School, a_school
from services.academic.worker import create_worker
from shared.database import Database
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return stack.settings(Settings, "academic")


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    async with Database(settings) as database:
        yield database


@pytest.fixture
async def worker(settings: Settings, database: Database) -> AsyncGenerator[Worker]:
    async with create_worker(settings, database).opened() as worker:
        yield worker


@pytest.fixture
async def client(settings: Settings, tokens: Tokens) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(create_app(settings, tokens.verifier)) as client:
        yield client


@pytest.fixture
async def school(client: httpx.AsyncClient, tokens: Tokens, worker: Worker) -> School:
    return await a_school(client, tokens, worker)


@pytest.fixture
async def other_school(client: httpx.AsyncClient, tokens: Tokens, worker: Worker) -> School:
    return await a_school(client, tokens, worker)
