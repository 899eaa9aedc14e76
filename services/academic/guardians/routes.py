"""Guardians and their links over HTTP."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from services.academic import access, caches
from services.academic.guardians import actions, queries
from services.academic.guardians.actions import GuardianExists
from services.academic.guardians.rules import ChangedMeanwhile, EndsBeforeStart, LinkExists, UnreadableCsv
from services.academic.guardians.schemas import (
    CsvResult,
    Guardian,
    GuardianChange,
    GuardianLink,
    GuardianLinkChange,
    GuardianLinkState,
    GuardianOfStudent,
    NewGuardian,
    NewGuardianLink,
)
from shared import clock
from shared.cache import Cache
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound, PreconditionFailed, UnsupportedMediaType

DryRun = Annotated[bool, QueryParameter(description="Check and count, change nothing.")]


class NameKey(msgspec.Struct, frozen=True):
    family_name: str
    given_name: str
    id: UUID


class IdKey(msgspec.Struct, frozen=True):
    id: UUID


@get(
    "/guardians",
    operation_id="list_guardians",
    summary="The school's guardians.",
    opt={"permission": "guardian.manage"},
)
async def list_guardians(
    database: NamedDependency[Database], caller: NamedDependency[Caller], limit: Limit = 50, cursor: Cursor = None
) -> Page[Guardian]:
    after = decode_cursor(cursor, NameKey) or NameKey("", "", UUID(int=0))
    found = await queries.guardians(
        database.reader(school_id=caller.school),
        school_id=caller.school,
        after=(after.family_name, after.given_name, after.id),
        limit=limit + 1,
    )
    return page(
        found,
        limit=limit,
        path="/api/v1/guardians",
        key=lambda guardian: NameKey(guardian.family_name, guardian.given_name, guardian.id),
    )


@post(
    "/guardians",
    operation_id="add_guardian",
    summary="Add a guardian.",
    opt={"permission": "guardian.manage", "problems": (GuardianExists,)},
)
async def add_guardian(
    data: JSONBody[NewGuardian], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Guardian:
    return await actions.add_guardian(database, caller.school, data)


@patch(
    "/guardians/{guardian_id:uuid}",
    operation_id="change_guardian",
    summary="Change a guardian.",
    opt={"permission": "guardian.manage", "problems": (NotFound, GuardianExists, PreconditionFailed)},
)
async def change_guardian(
    guardian_id: FromPath[UUID],
    data: JSONBody[GuardianChange],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> Guardian:
    return await actions.change_guardian(database, caller.school, guardian_id, data)


@get(
    "/students/{student_id:uuid}/guardians",
    operation_id="list_guardians_of_student",
    summary="The guardians of a student, in the order in which to call them.",
    opt={"permission": "guardian.read", "problems": (NotFound,)},
)
async def list_guardians_of_student(
    student_id: FromPath[UUID],
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
) -> list[GuardianOfStudent]:
    reader = database.reader(school_id=caller.school)
    today = await caches.today(cache, reader, school_id=caller.school)
    await access.require_student(reader, caller, student_id, today=today)
    return await queries.guardians_of_student(reader, school_id=caller.school, student_id=student_id, day=today)


@get(
    "/guardian-links",
    operation_id="list_guardian_links",
    summary="Links of guardians to children, the ended ones too.",
    opt={"permission": "guardian.manage"},
)
async def list_guardian_links(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    guardian_id: FromQuery[UUID | None] = None,
    student_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[GuardianLink]:
    after = decode_cursor(cursor, IdKey) or IdKey(UUID(int=0))
    found = await queries.links(
        database.reader(school_id=caller.school),
        school_id=caller.school,
        guardian_id=guardian_id,
        student_id=student_id,
        after_id=after.id,
        limit=limit + 1,
    )
    return page(
        found,
        limit=limit,
        path="/api/v1/guardian-links",
        filters={"guardian_id": guardian_id, "student_id": student_id},
        key=lambda link: IdKey(link.id),
    )


@post(
    "/guardian-links",
    operation_id="add_guardian_link",
    summary="Link a guardian to a child.",
    opt={"permission": "guardian.manage", "problems": (NotFound, LinkExists, EndsBeforeStart)},
)
async def add_guardian_link(
    data: JSONBody[NewGuardianLink], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> GuardianLink:
    return await actions.add_link(database, caller.school, data, user_id=caller.user_id, now=clock.now())


@patch(
    "/guardian-links/{link_id:uuid}",
    operation_id="change_guardian_link",
    summary="Change or end a link; what it was stays in its history.",
    opt={"permission": "guardian.manage", "problems": (NotFound, PreconditionFailed, EndsBeforeStart)},
)
async def change_guardian_link(
    link_id: FromPath[UUID],
    data: JSONBody[GuardianLinkChange],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> GuardianLink:
    return await actions.change_link(database, caller.school, link_id, data, user_id=caller.user_id, now=clock.now())


@get(
    "/guardian-links/{link_id:uuid}/history",
    operation_id="show_guardian_link_history",
    summary="Who changed a link, when, and to what.",
    opt={"permission": "guardian.manage"},
)
async def show_guardian_link_history(
    link_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> list[GuardianLinkState]:
    reader = database.reader(school_id=caller.school)
    found = await queries.history(reader, school_id=caller.school, link_id=link_id)
    if not found:
        raise NotFound
    return found


@post(
    "/guardian-links/csv",
    operation_id="take_guardian_csv",
    summary="Guardians and links out of a CSV (`Content-Type: text/csv`): all of it or nothing.",
    status_code=200,
    opt={
        "permission": "guardian.manage",
        "problems": (UnreadableCsv, ChangedMeanwhile, UnsupportedMediaType),
        "reads": "text/csv",
    },
)
async def take_guardian_csv(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    dry_run: DryRun = False,  # noqa: FBT002 (a query parameter has a name)
) -> CsvResult:
    if request.content_type[0] != "text/csv":
        raise UnsupportedMediaType("Send the file itself, with Content-Type: text/csv.")
    content = await request.body()
    return await actions.take_csv(
        database, caller.school, content, dry_run=dry_run, user_id=caller.user_id, now=clock.now()
    )


router = Router(
    "/api/v1",
    route_handlers=[
        list_guardians,
        add_guardian,
        change_guardian,
        list_guardians_of_student,
        list_guardian_links,
        add_guardian_link,
        change_guardian_link,
        show_guardian_link_history,
        take_guardian_csv,
    ],
)
