"""The HTTP side of auth: sessions, passwords, invites, keys."""

from litestar.di import Provide

from services.auth.access import PERMISSIONS
from services.auth.caches import KINDS
from services.auth.invites import routes as invites
from services.auth.keys import routes as keys
from services.auth.kit import Kit, client_ip
from services.auth.passwords import routes as passwords
from services.auth.sessions import routes as sessions
from services.auth.settings import Settings
from services.auth.start import prepared
from shared.identity import Verifier
from shared.web import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, verifier: Verifier | None = None) -> Edge:
    kit = Kit(settings)
    return build_app(
        "auth",
        settings,
        routers=[sessions.router, passwords.router, invites.router, keys.router],
        permissions=PERMISSIONS,
        verifier=verifier,
        caches=KINDS,
        dependencies={
            "kit": Provide(lambda: kit, sync_to_thread=False),
            "client_ip": Provide(client_ip, sync_to_thread=False),
        },
        resources=[prepared(kit)],
    )
