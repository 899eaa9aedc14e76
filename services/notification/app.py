"""The HTTP side of notification: inboxes and the delivery log."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide

from services.notification.access import PERMISSIONS
from services.notification.deliveries import routes as deliveries
from services.notification.inbox import routes as inbox
from services.notification.inbox.live import Announcer, Streams
from services.notification.preferences import routes as preferences
from services.notification.settings import Settings
from services.notification.snapshots import routes as snapshots
from shared.identity import Verifier
from shared.web import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, verifier: Verifier | None = None) -> Edge:
    announcer, streams = Announcer(settings.redis_url), Streams(settings.redis_url)

    @asynccontextmanager
    async def live(_: Litestar) -> AsyncGenerator[None]:
        async with streams.running():
            yield
        await announcer.close()

    app = build_app(
        "notification",
        settings,
        routers=[inbox.router, deliveries.router, preferences.router, preferences.policy_router, snapshots.router],
        permissions=PERMISSIONS,
        verifier=verifier,
        dependencies={
            "announcer": Provide(lambda: announcer, sync_to_thread=False),
            "streams": Provide(lambda: streams, sync_to_thread=False),
        },
        resources=[live],
    )
    app.on_close = streams.end_for_good
    return app
