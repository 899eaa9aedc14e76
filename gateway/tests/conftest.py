from collections.abc import AsyncGenerator, Callable

import httpx
import pytest
import redis.asyncio

from gateway.settings import Settings
from gateway.tests.upstreams import Service, gateway, served
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tools.topology import SERVICE_NAMES

SettingsOf = Callable[..., Settings]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def service_url(service: Service) -> AsyncGenerator[str]:
    async with served(service) as url:
        yield url


@pytest.fixture
async def clean_redis(stack: Stack) -> AsyncGenerator[redis.asyncio.Redis]:
    client = redis.asyncio.from_url(stack.redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def settings_of(stack: Stack, service_url: str, clean_redis: redis.asyncio.Redis) -> SettingsOf:
    """Settings with the one service behind all prefixes; `overrides` are fields by name."""

    def made(**overrides: object) -> Settings:
        urls = {f"{name}_url": service_url for name in SERVICE_NAMES}
        return stack.settings(Settings, "gateway", port=0, **{**urls, **overrides})

    return made


@pytest.fixture
async def url(settings_of: SettingsOf, tokens: Tokens, clean_redis: redis.asyncio.Redis) -> AsyncGenerator[str]:
    async with gateway(settings_of(), tokens.verifier) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client
