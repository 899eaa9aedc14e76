"""Signing in and out, refreshing, switching between schools."""

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.auth.caches import ME
from services.auth.kit import ClientIp, Kit
from services.auth.sessions import actions
from services.auth.sessions.rules import NoMembership, SessionOver, WrongCredentials
from services.auth.sessions.schemas import AccessToken, Me, Refresh, SignedIn, SignIn, Switch
from services.auth.throttle import TooManyAttempts
from shared.database import Database
from shared.identity import Caller
from shared.problems import NotFound
from shared.web.conditional import Answers


@post(
    "/sign-in",
    operation_id="sign_in",
    summary="Open a session.",
    status_code=200,
    opt={
        "public": True,
        "credentials": True,
        "unkeyed": "Its answer holds tokens, which are not kept.",
        "problems": (WrongCredentials, NoMembership, TooManyAttempts),
    },
)
async def sign_in(
    data: JSONBody[SignIn],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    client_ip: NamedDependency[ClientIp],
) -> SignedIn:
    return await actions.sign_in(database, kit, data, client_ip)


@post(
    "/refresh",
    operation_id="refresh_session",
    summary="Trade the refresh token for the next tokens; an old one that comes back ends the session.",
    status_code=200,
    opt={
        "public": True,
        "credentials": True,
        "unkeyed": "The refresh token is its key (ADR 0401).",
        "problems": (SessionOver,),
    },
)
async def refresh_session(
    data: JSONBody[Refresh], database: NamedDependency[Database], kit: NamedDependency[Kit]
) -> SignedIn:
    return await actions.refresh(database, kit, data.refresh_token)


@post(
    "/sign-out",
    operation_id="sign_out",
    summary="End the session.",
    status_code=204,
    opt={"permission": "session.own", "unkeyed": "A session that has ended stays so."},
)
async def sign_out(
    database: NamedDependency[Database], kit: NamedDependency[Kit], caller: NamedDependency[Caller]
) -> None:
    await actions.sign_out(database, kit, caller)


@post(
    "/switch",
    operation_id="switch_membership",
    summary="A token for another of the caller's schools or roles; the session remembers it.",
    status_code=200,
    opt={
        "permission": "session.switch",
        "unkeyed": "Its answer holds a token, which is not kept.",
        "problems": (NotFound, SessionOver),
    },
)
async def switch_membership(
    data: JSONBody[Switch],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    caller: NamedDependency[Caller],
) -> AccessToken:
    return await actions.switch(database, kit, caller, data.membership_id)


@get(
    "/me",
    operation_id="show_me",
    summary="Who the caller is, and what else they could be.",
    opt={"permission": "session.own", "problems": (SessionOver,), "cached": ME},
)
async def show_me(
    database: NamedDependency[Database], caller: NamedDependency[Caller], answers: NamedDependency[Answers]
) -> Response[Me]:
    await actions.require_live(database, caller)
    as_whom = (caller.user_id, caller.school_id, caller.person_id)
    return await answers.of(None, as_whom, lambda: actions.me(database, caller))


router = Router("/api/v1/auth", route_handlers=[sign_in, refresh_session, sign_out, switch_membership, show_me])
