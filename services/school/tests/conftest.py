from collections.abc import AsyncGenerator

import httpx
import pytest

from services.school.app import create_app
from services.school.settings import Settings
from services.school.tests.days import SchoolDay, Taught
from services.school.tests.factories import House, School
from services.school.worker import create_worker
from shared.database import Database
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.worker import Worker


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return stack.settings(Settings, "school", default_time_zone="America/New_York")


@pytest.fixture
async def client(settings: Settings, tokens: Tokens) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(create_app(settings, tokens.verifier)) as client:
        yield client


@pytest.fixture
def house(client: httpx.AsyncClient, tokens: Tokens, settings: Settings) -> House:
    return House(client, tokens, settings)


@pytest.fixture
async def school(house: House) -> School:
    return await house.school()


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    async with Database(settings) as database:
        yield database


@pytest.fixture
async def worker(settings: Settings, database: Database) -> AsyncGenerator[Worker]:
    async with create_worker(settings, database).opened() as worker:
        yield worker


@pytest.fixture
def day(school: School, worker: Worker) -> SchoolDay:
    return SchoolDay(school, worker)


@pytest.fixture
async def taught(day: SchoolDay) -> Taught:
    return await Taught().told(day)
