"""Changing a password, and setting a forgotten one anew."""

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.auth.codes import CodeRefused
from services.auth.kit import ClientIp, Kit
from services.auth.passwords import actions
from services.auth.passwords.rules import WeakPassword
from services.auth.passwords.schemas import PasswordChange, ResetConfirmation, ResetRequest, ResetTaken
from services.auth.sessions.rules import NoMembership, SessionOver, WrongCredentials
from services.auth.sessions.schemas import SignedIn
from services.auth.throttle import TooManyAttempts
from shared.database import Database
from shared.identity import Caller


@post(
    "/password",
    operation_id="change_password",
    summary="Choose a new password; every session ends but the one that the answer opens.",
    status_code=200,
    opt={
        "permission": "password.change",
        "unkeyed": "Its answer holds tokens, which are not kept.",
        "problems": (WrongCredentials, WeakPassword, SessionOver, NoMembership, TooManyAttempts),
    },
)
async def change_password(
    data: JSONBody[PasswordChange],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    caller: NamedDependency[Caller],
    client_ip: NamedDependency[ClientIp],
) -> SignedIn:
    return await actions.change_password(database, kit, caller, data, client_ip)


@post(
    "/password-resets",
    operation_id="request_password_reset",
    summary="Ask for a code by mail; the answer is the same for every address.",
    status_code=202,
    opt={
        "public": True,
        "credentials": True,
        "unkeyed": "Nobody is signed in; a newer code replaces the older.",
        "problems": (TooManyAttempts,),
    },
)
async def request_password_reset(
    data: JSONBody[ResetRequest],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    client_ip: NamedDependency[ClientIp],
) -> ResetTaken:
    return await actions.request_reset(database, kit, data.email, client_ip)


@post(
    "/password-resets/confirm",
    operation_id="confirm_password_reset",
    summary="Set a new password with the code of the mail; every session ends.",
    status_code=204,
    opt={
        "public": True,
        "credentials": True,
        "unkeyed": "Nobody is signed in; a code works once.",
        "problems": (CodeRefused, WeakPassword, TooManyAttempts),
    },
)
async def confirm_password_reset(
    data: JSONBody[ResetConfirmation],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    client_ip: NamedDependency[ClientIp],
) -> None:
    await actions.confirm_reset(database, kit, data, client_ip)


router = Router("/api/v1/auth", route_handlers=[change_password, request_password_reset, confirm_password_reset])
