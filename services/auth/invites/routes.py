"""Invites over HTTP."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from services.auth.codes import CodeRefused
from services.auth.invites import actions, queries
from services.auth.invites.rules import CannotBeInvited, InviteAccepted, LoginJustMade, PasswordNeeded
from services.auth.invites.schemas import Acceptance, AdminInvite, BulkInvite, BulkResult, Invite, InviteState
from services.auth.kit import ClientIp, Kit
from services.auth.passwords.rules import WeakPassword
from services.auth.sessions.rules import WrongCredentials
from services.auth.sessions.schemas import SignedIn
from services.auth.throttle import TooManyAttempts
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound

StateFilter = Annotated[InviteState | None, QueryParameter(name="state", description="Only invites in this state.")]


class InviteKey(msgspec.Struct, frozen=True):
    id: UUID


@post(
    "/admin-invites",
    operation_id="invite_admin",
    summary="Invite an administrator of a school; again replaces the code.",
    opt={"permission": "admin.invite", "problems": (NotFound,)},
)
async def invite_admin(
    data: JSONBody[AdminInvite], database: NamedDependency[Database], kit: NamedDependency[Kit]
) -> Invite:
    return await actions.invite_admin(database, kit, data)


@post(
    "/invites",
    operation_id="invite_people",
    summary="Invite people of one role by mail: those named, or everybody who has no login yet.",
    opt={"permission": "invite.manage"},
)
async def invite_people(
    data: JSONBody[BulkInvite],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    caller: NamedDependency[Caller],
) -> BulkResult:
    return await actions.invite_people(database, kit, caller.school, data)


@get(
    "/invites",
    operation_id="list_invites",
    summary="The school's invites, newest first.",
    opt={"permission": "invite.manage"},
)
async def list_invites(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    state_: StateFilter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Invite]:
    after = decode_cursor(cursor, InviteKey)
    found = await queries.invites(
        database.reader(school_id=caller.school),
        caller.school,
        state=state_,
        before=after.id if after else None,
        now=clock.now(),
        limit=limit + 1,
    )
    return page(
        found, limit=limit, path="/api/v1/invites", filters={"state": state_}, key=lambda each: InviteKey(each.id)
    )


@post(
    "/invites/{invite_id:uuid}/reissue",
    operation_id="reissue_invite",
    summary="Send a new code; the old one dies.",
    status_code=200,
    opt={"permission": "invite.manage", "problems": (NotFound, InviteAccepted, CannotBeInvited)},
)
async def reissue_invite(
    invite_id: FromPath[UUID],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    caller: NamedDependency[Caller],
) -> Invite:
    return await actions.reissue(database, kit, caller.school, invite_id)


@post(
    "/auth/invites/accept",
    operation_id="accept_invite",
    summary="Come in with the code of the mail: a new login, or one more school for the login that is there.",
    status_code=200,
    opt={
        "public": True,
        "credentials": True,
        "unkeyed": "A code works once, and its answer holds tokens, which are not kept.",
        "problems": (CodeRefused, PasswordNeeded, WrongCredentials, WeakPassword, LoginJustMade, TooManyAttempts),
    },
)
async def accept_invite(
    data: JSONBody[Acceptance],
    database: NamedDependency[Database],
    kit: NamedDependency[Kit],
    client_ip: NamedDependency[ClientIp],
) -> SignedIn:
    return await actions.accept(database, kit, data, client_ip)


router = Router("/api/v1", route_handlers=[invite_admin, invite_people, list_invites, reissue_invite, accept_invite])
