"""Contacts over HTTP."""

from typing import Annotated, Final
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.communication.contacts import actions
from services.communication.contacts.schemas import Contact, NameKey
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound

OfClass = Annotated[UUID, QueryParameter(description="A teacher names a class that they teach today.")]

FIRST: Final = NameKey("", "", UUID(int=0))


@get(
    "/",
    operation_id="list_contacts",
    summary="The students of a class, by name, each with the guardians to write to today.",
    opt={"permission": "contact.read", "problems": (NotFound,)},
)
async def list_contacts(
    class_id: OfClass,
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Contact]:
    after = decode_cursor(cursor, NameKey) or FIRST
    found = await actions.contacts_of_class(database, caller, class_id, after=after, limit=limit + 1)
    return page(
        found,
        limit=limit,
        path="/api/v1/contacts",
        filters={"class_id": class_id},
        key=lambda each: NameKey(each.family_name, each.given_name, each.student_id),
    )


router = Router("/api/v1/contacts", route_handlers=[list_contacts])
