"""Enrolments over HTTP."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from services.academic import access, caches
from services.academic.enrolments import actions, queries
from services.academic.enrolments.rules import EnrolmentEndsBeforeStart, SpellsOverlap
from services.academic.enrolments.schemas import Enrolment, EnrolmentEnd, NewEnrolment
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound
from shared.web.conditional import Answers

OfClass = Annotated[UUID, QueryParameter(description="Whose members.")]


class IdKey(msgspec.Struct, frozen=True):
    id: UUID


@get(
    "/enrolments",
    operation_id="list_enrolments",
    summary="Who is, was or will be in a class.",
    opt={"permission": "class.read", "problems": (NotFound,), "cached": caches.MEMBERS},
)
async def list_enrolments(
    *,
    class_id: OfClass,
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[Enrolment]]:
    reader = database.reader(school_id=caller.school)
    today = await caches.today(answers.cache, reader, school_id=caller.school)
    await access.require_class(reader, caller, class_id, today=today)
    after = decode_cursor(cursor, IdKey) or IdKey(UUID(int=0))

    async def read() -> Page[Enrolment]:
        found = await queries.enrolments(
            reader, school_id=caller.school, class_id=class_id, after_id=after.id, limit=limit + 1
        )
        filters = {"class_id": class_id}
        return page(found, limit=limit, path="/api/v1/enrolments", filters=filters, key=lambda each: IdKey(each.id))

    return await answers.of(caller.school, (class_id, after, limit), read)


@post(
    "/enrolments",
    operation_id="enrol",
    summary="Put a student or teacher into a class, from a day on.",
    opt={"permission": "class.manage", "problems": (NotFound, SpellsOverlap, EnrolmentEndsBeforeStart)},
)
async def enrol(
    data: JSONBody[NewEnrolment], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Enrolment:
    return await actions.enrol(database, caller.school, data, now=clock.now())


@post(
    "/enrolments/{enrolment_id:uuid}/end",
    operation_id="end_enrolment",
    summary="End an enrolment on a day; what was marked until then stays.",
    status_code=200,
    opt={"permission": "class.manage", "problems": (NotFound, SpellsOverlap, EnrolmentEndsBeforeStart)},
)
async def end_enrolment(
    enrolment_id: FromPath[UUID],
    data: JSONBody[EnrolmentEnd],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> Enrolment:
    return await actions.end_enrolment(database, caller.school, enrolment_id, data, now=clock.now())


router = Router("/api/v1", route_handlers=[list_enrolments, enrol, end_enrolment])
