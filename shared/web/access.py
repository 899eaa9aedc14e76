"""Deny by default: a handler says who may call it, or the application does not start.

`opt={"permission": "register.take"}`: a token whose role has the permission. `opt={"public": True}`: anybody.
`opt={"internal": True}`: another service. Relationship (own class, own child) is decided by the service's
`access.py`, on top of the permission.

`opt={"public": True, "credentials": True}`: anybody, in order to get a token. The gateway counts these apart, as a
whole school asks them from one address; so the service itself counts what was wrong (ADR 0602).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from shared.identity import Caller, Verifier, bearer_token
from shared.problems import Forbidden
from shared.replica import Asker, serve

Permissions = Mapping[str, frozenset[str]]
DECLARATIONS = frozenset({"permission", "public", "internal"})
SAFE = frozenset({"GET", "HEAD"})


async def deny_by_default(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let in whom the handler's declaration names. Raises Unauthenticated or Forbidden."""
    serve(None)
    if handler.opt.get("public"):
        return
    verifier: Verifier = connection.app.state.verifier
    token = bearer_token(connection.headers.get("authorization"))
    if handler.opt.get("internal"):
        connection.state["service"] = await verifier.verify_service(token)
        return
    caller = await verifier.verify(token)
    permissions: Permissions = connection.app.state.permissions
    if handler.opt["permission"] not in permissions.get(caller.role, frozenset()):
        raise Forbidden
    connection.state["caller"] = caller
    serve(Asker(user_id=caller.user_id, only_reads=_method(connection) in SAFE))


def _method(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    scope: Any = connection.scope
    return scope["method"]


async def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """The verified token of the request; only there on handlers that declare a permission."""
    return request.state["caller"]


def require_service(request: Request[Any, Any, Any], name: str) -> None:
    """Raises Forbidden unless it is this service that calls a handler which declares `internal`."""
    if request.state["service"] != name:
        raise Forbidden(f"Only {name} may ask for it.")


def demand_declarations(app: Litestar, permissions: Permissions) -> None:
    """Raises LookupError when a route declares no access, or a permission that no role has."""
    granted = frozenset[str]().union(*permissions.values())
    for handler in route_handlers(app):
        declared = DECLARATIONS & handler.opt.keys()
        if len(declared) != 1:
            raise LookupError(f"{handler} must declare exactly one of {sorted(DECLARATIONS)}")
        if "permission" in declared and handler.opt["permission"] not in granted:
            raise LookupError(f"{handler}: nobody has the permission {handler.opt['permission']!r}")


def route_handlers(app: Litestar) -> Iterable[HTTPRouteHandler]:
    """Every handler of ours; Litestar's own answers to OPTIONS are not among them."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and "OPTIONS" not in handler.http_methods:
                yield handler
