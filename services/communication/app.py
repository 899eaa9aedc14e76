"""The HTTP side of communication: whom to write to."""

from services.communication.access import PERMISSIONS
from services.communication.contacts import routes as contacts
from services.communication.settings import Settings
from shared.identity import Verifier
from shared.web import build_app
from shared.web.edge import Edge


def create_app(settings: Settings, verifier: Verifier | None = None) -> Edge:
    return build_app("communication", settings, routers=[contacts.router], permissions=PERMISSIONS, verifier=verifier)
