"""The HTTP side of communication: whom to write to, what is written to them, and files."""

from litestar import Router
from litestar.di import Provide

from services.communication.access import PERMISSIONS
from services.communication.announcements import routes as announcements
from services.communication.contacts import routes as contacts
from services.communication.files import routes as files
from services.communication.files.scanner import Scanner
from services.communication.files.store import FileStore
from services.communication.receipts import routes as receipts
from services.communication.settings import Settings
from services.communication.snapshots import routes as snapshots
from shared.identity import Verifier
from shared.web import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, verifier: Verifier | None = None) -> Edge:
    store, scanner = FileStore(settings), Scanner(settings)
    announced = Router("/api/v1/announcements", route_handlers=[*announcements.handlers, *receipts.handlers])
    return build_app(
        "communication",
        settings,
        routers=[contacts.router, announced, files.router, snapshots.router],
        permissions=PERMISSIONS,
        verifier=verifier,
        dependencies={
            "files": Provide(lambda: store, sync_to_thread=False),
            "scanner": Provide(lambda: scanner, sync_to_thread=False),
        },
    )
