"""A client of a service that runs in the test's own process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from litestar.types import ASGIApp

from shared.web.app import litestar_of


@asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncGenerator[httpx.AsyncClient]:
    """Opens the service (pool, resources) and closes it at the end. Unexpected errors arrive as 500, as outside."""
    async with _alive(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            yield client


@asynccontextmanager
async def _alive(app: ASGIApp) -> AsyncGenerator[None]:
    """Opened and closed in one task of its own: a fixture's set-up and its end may run in different ones."""
    opened, closing = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with litestar_of(app).lifespan():
            opened.set()
            await closing.wait()

    living = asyncio.create_task(live())
    await asyncio.wait({living, asyncio.create_task(opened.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not living.done():
            yield
    finally:
        closing.set()
        await living
