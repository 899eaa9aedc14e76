from collections.abc import AsyncGenerator

import httpx
import pytest

from services.communication.app import create_app
from services.communication.settings import Settings
from services.communication.tests.factories import School
from services.communication.worker import create_worker
from shared.database import Database
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return stack.settings(Settings, "communication")


@pytest.fixture
async def worker(settings: Settings) -> AsyncGenerator[Worker]:
    async with Database(settings) as database:
        worker = create_worker(settings, database)
        yield worker
        await worker.bus.close()


@pytest.fixture
async def client(settings: Settings, tokens: Tokens) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(create_app(settings, tokens.verifier)) as client:
        yield client


@pytest.fixture
async def school(client: httpx.AsyncClient, worker: Worker, tokens: Tokens) -> School:
    school = School(client, worker, tokens)
    await school.named(version=1)
    return school
