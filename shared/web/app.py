"""`build_app`: health, metrics, problems, access and telemetry, the same in every service."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.router import Router
from litestar.types import ASGIApp, ControllerRouterHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared import logs, telemetry
from shared.cache import Cache, Cached
from shared.database import Database
from shared.identity import Verifier, keys_at
from shared.settings import ServiceSettings
from shared.web.access import Permissions, demand_declarations, deny_by_default, provide_caller
from shared.web.conditional import demand_known_caches, provide_answers
from shared.web.edge import Edge
from shared.web.idempotency import idempotent
from shared.web.openapi import LITESTARS_OWN, openapi_document
from shared.web.rendering import render

MAX_BODY_BYTES = 1024 * 1024
READY_S = 3.0

Resource = Callable[[Litestar], AbstractAsyncContextManager[None]]
Check = Callable[[], Awaitable[bool]]


def build_app(
    name: str,
    settings: ServiceSettings,
    *,
    routers: Sequence[ControllerRouterHandler],
    permissions: Permissions,
    verifier: Verifier | None = None,
    dependencies: Mapping[str, Provide] | None = None,
    resources: Sequence[Resource] = (),
    checks: Mapping[str, Check] | None = None,
    caches: Collection[Cached] = (),
    deciding: Collection[str] = (),
) -> Edge:
    """A service of the house.

    `resources` are opened at start and closed in reverse; they may put things into `app.state`. `checks` join the
    database in `/health/ready`. `deciding` are the tables by which it is decided who sees what. Raises LookupError when
    a route does not declare who may call it, or declares an answer `cached` that is none of `caches`.
    """
    database, cache = Database(settings, serves=True, deciding=deciding), Cache(name, settings, caches)
    database.tell_of_changes(cache.drop)
    app = Litestar(
        route_handlers=[*routers, _house_routes(checks or {}), _document_route()],
        dependencies={
            "database": Provide(lambda: database, sync_to_thread=False),
            "cache": Provide(lambda: cache, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "caller": Provide(provide_caller),
            "answers": Provide(provide_answers, sync_to_thread=False),
            **(dependencies or {}),
        },
        guards=[deny_by_default],
        middleware=[idempotent],
        exception_handlers={Exception: render},
        lifespan=[_telemetry(name, settings), _opened(database), _opened(cache), *resources],
        openapi_config=OpenAPIConfig(
            title=f"Homeroom {name}",
            version="1",
            # Litestar insists on serving its own draft; ours, completed, is /openapi.json.
            openapi_router=Router(LITESTARS_OWN, route_handlers=[], opt={"internal": True}),
            render_plugins=[JsonRenderPlugin()],
        ),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    app.state.service_name = name
    app.state.database = database
    app.state.cache = cache
    app.state.permissions = permissions
    app.state.verifier = verifier or Verifier(keys_at(settings.jwks_url), cooldown_s=settings.jwks_cooldown_s)
    demand_declarations(app, permissions)
    demand_known_caches(app, caches)
    return Edge(app, name)


def health_app(database: Database) -> Litestar:
    """Health and metrics and nothing else, for a process that serves no API."""
    app = Litestar(route_handlers=[_house_routes({})], openapi_config=None, logging_config=None)
    app.state.database = database
    return app


def litestar_of(app: ASGIApp) -> Litestar:
    """The Litestar application inside a built service."""
    assert isinstance(app, Edge)
    assert isinstance(app.app, Litestar)
    return app.app


async def _in_time(check: Check) -> bool:
    """A worker waits long for its connections; whoever asks for its health does not."""
    try:
        async with asyncio.timeout(READY_S):
            return await check()
    except TimeoutError:
        return False


def _house_routes(checks: Mapping[str, Check]) -> Router:
    """Health and metrics; not part of the public API."""

    @get("/health/live", sync_to_thread=False)
    def live() -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready")
    async def ready(request: Request[Any, Any, Any]) -> Response[dict[str, bool]]:
        database: Database = request.app.state.database
        found = {
            "database": await _in_time(database.is_ready),
            **{name: await check() for name, check in checks.items()},
        }
        draining = bool(request.app.state.get("draining"))
        ok = all(found.values()) and not draining
        return Response(found, status_code=200 if ok else 503)

    @get("/metrics", media_type=MediaType.TEXT, sync_to_thread=False)
    def metrics() -> Response[bytes]:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Router("/", route_handlers=[live, ready, metrics], opt={"public": True}, include_in_schema=False)


def _document_route() -> HTTPRouteHandler:
    @get("/openapi.json", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
    def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return openapi_document(request.app)

    return openapi


def _telemetry(name: str, settings: ServiceSettings) -> Resource:
    @asynccontextmanager
    async def opened(_: Litestar) -> AsyncGenerator[None]:
        logs.set_up_logs(name, settings.log_level)
        telemetry.set_up_tracing(name, settings)
        yield

    return opened


def _opened(resource: AbstractAsyncContextManager[object]) -> Resource:
    @asynccontextmanager
    async def opened(_: Litestar) -> AsyncGenerator[None]:
        async with resource:
            yield

    return opened
