"""A client of a service that runs in the test's own process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from litestar.types import ASGIApp

from shared.web.app import litestar_of


@asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncGenerator[httpx.AsyncClient]:
    """Opens the service (pool, resources) and closes it at the end. Unexpected errors arrive as 500, as outside."""
    async with litestar_of(app).lifespan():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            yield client
