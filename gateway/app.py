"""The gateway: proxied prefixes first, everything else from a small application of its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response, Router, get
from litestar.types import Receive, Scope, Send
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import docs
from gateway.client import send_problem
from gateway.headers import HeaderList, check_request, client_address
from gateway.limits import Limiter
from gateway.proxy import Proxy
from gateway.routes import KEYS_PATH, PREFIXES
from gateway.settings import Settings
from gateway.streams import Streams
from gateway.upstream import Upstream
from shared import logs, telemetry
from shared.identity import Verifier, keys_at
from shared.problems import Problem
from shared.redis_pipe import RedisPipe
from shared.web.edge import Edge
from shared.web.rendering import render

QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
LINKS = {
    "name": "Homeroom",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "live": "/health/live",
    "ready": "/health/ready",
}


class Gateway(Edge):
    """The whole of it. `drain` is called when the process is asked to stop, `end_streams` when it does."""

    def __init__(self, front: "Front") -> None:
        super().__init__(front, "gateway")
        self._front = front

    def drain(self) -> None:
        self.is_draining = True
        self._front.house.state["draining"] = True

    def end_streams(self) -> None:
        self._front.proxy.streams.end_all()


class Front:
    """A thin layer of our own: a proxied request never meets the framework (ADR 0601)."""

    def __init__(self, house: Litestar, proxy: Proxy, settings: Settings) -> None:
        self.house = house
        self.proxy = proxy
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self.house(scope, receive, send)
        elif scope["path"].startswith("/api/") or scope["path"] == KEYS_PATH:
            await self.proxy(scope, receive, send)  # pyright: ignore[reportArgumentType] (ASGI, typed more narrowly)
        else:
            await self._from_the_house(scope, receive, send)

    async def _from_the_house(self, scope: Any, receive: Receive, send: Send) -> None:
        """Nobody needs a token here, so everybody counts by address."""
        told: HeaderList = []
        try:
            check_request(scope, self._settings)
            verdict = await self.proxy.limiter.admit(client_address(scope, self._settings.trusted_proxy_hops), None)
            told += verdict.headers()
            verdict.require_admitted()
        except Problem as problem:
            await send_problem(send, problem, told)  # pyright: ignore[reportArgumentType] (as above)
            return
        # The server leaves out the body of an answer to HEAD by itself.
        asked: Any = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await self.house(asked, receive, _telling(send, told))


def _telling(send: Send, headers: HeaderList) -> Send:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return sending


def create_app(settings: Settings, verifier: Verifier | None = None) -> Gateway:
    """The gateway, without state of its own but quotas in Redis."""
    redis = RedisPipe(settings.redis_url, timeout_s=settings.redis_timeout_s)
    upstreams = {service: Upstream(service, settings) for service in PREFIXES}
    limiter = Limiter(
        redis,
        anonymous=settings.anonymous_quota,
        credentials=settings.credentials_quota,
        user=settings.user_quota,
        school=settings.school_quota,
        replicas=settings.replicas,
    )
    verifier = verifier or Verifier(keys_at(settings.jwks_url), cooldown_s=settings.jwks_cooldown_s)
    proxy = Proxy(settings, upstreams=upstreams, limiter=limiter, verifier=verifier)
    return Gateway(Front(_house(settings, redis, upstreams, proxy.streams), proxy, settings))


def _house(settings: Settings, redis: RedisPipe, upstreams: dict[str, Upstream], streams: Streams) -> Litestar:
    """Health, metrics, documents: what the gateway answers by itself."""

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncGenerator[None]:
        logs.set_up_logs("gateway", settings.log_level)
        telemetry.set_up_tracing("gateway", settings)
        async with streams.ended_with_sessions(redis):
            yield
        for upstream in upstreams.values():
            await upstream.close()
        await redis.close()

    app = Litestar(
        route_handlers=[_routes(redis, upstreams), docs.router],
        exception_handlers={Exception: render},
        lifespan=[running],
        openapi_config=None,
        logging_config=None,
    )
    app.state.service_name = "gateway"
    return app


def _routes(redis: RedisPipe, upstreams: dict[str, Upstream]) -> Router:
    document = docs.OneDocument()

    @get("/", sync_to_thread=False)
    def links() -> dict[str, str]:
        return LINKS

    @get("/health/live", sync_to_thread=False)
    def live() -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready")
    async def ready(request: Request[Any, Any, Any]) -> Response[dict[str, bool]]:
        # A gateway out of rotation helps nobody: it works on without Redis and beside upstreams that are down. Both are
        # told; only one that is about to end is not ready.
        has_redis = await redis.is_ready()
        is_ready = not request.app.state.get("draining")
        found = {"redis": has_redis, **{upstream.service: upstream.seems_well for upstream in upstreams.values()}}
        return Response(found, status_code=200 if is_ready else 503)

    @get("/metrics", sync_to_thread=False)
    def metrics() -> Response[bytes]:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @get("/openapi.json")
    async def openapi(request: Request[Any, Any, Any]) -> Response[bytes | None]:
        for upstream in upstreams.values():
            await upstream.contract.loaded()
        documents = {name: each.contract.document for name, each in upstreams.items() if each.contract.document}
        return document.answer(documents, request.headers.get("if-none-match"))

    return Router("/", route_handlers=[links, live, ready, metrics, openapi])
