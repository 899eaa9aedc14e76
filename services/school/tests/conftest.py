from collections.abc import AsyncGenerator

import httpx
import pytest

from services.school.app import create_app
from services.school.settings import Settings
from services.school.tests.factories import House, School
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens


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
