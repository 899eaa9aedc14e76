"""The HTTP side of communication: whom to write to, and files."""

from litestar.di import Provide

from services.communication.access import PERMISSIONS
from services.communication.contacts import routes as contacts
from services.communication.files import routes as files
from services.communication.files.store import FileStore
from services.communication.settings import Settings
from shared.identity import Verifier
from shared.web import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, verifier: Verifier | None = None) -> Edge:
    store = FileStore(settings)
    return build_app(
        "communication",
        settings,
        routers=[contacts.router, files.router],
        permissions=PERMISSIONS,
        verifier=verifier,
        dependencies={"files": Provide(lambda: store, sync_to_thread=False)},
    )
