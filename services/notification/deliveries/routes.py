"""The delivery log of a school: what went out, and who was not reached."""

from datetime import date
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from services.notification.deliveries import queries
from services.notification.deliveries.schemas import Delivery, DeliveryHistory, DeliveryKey, DeliveryState
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound

READ = {"permission": "delivery.read"}

States = Annotated[
    list[DeliveryState] | None,
    QueryParameter(
        name="state", max_items=6, description="Any of these; `unreachable` and `failed` are who was not reached."
    ),
]
Student = Annotated[UUID | None, QueryParameter(description="Only what is about this student.")]
Day = Annotated[date | None, QueryParameter(description="Only what is about this school day.")]


@get("/", operation_id="list_deliveries", summary="What was sent to whom, newest first.", opt=READ)
async def list_deliveries(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    state_: States = None,
    student_id: Student = None,
    day: Day = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Delivery]:
    after = decode_cursor(cursor, DeliveryKey)
    found = await queries.deliveries(
        database.reader(school_id=caller.school),
        caller.school,
        states=state_,
        student_id=student_id,
        day=day,
        before=after.delivery_id if after else None,
        limit=limit + 1,
    )
    filters = {"student_id": student_id, "day": day}
    paged = page(
        found, limit=limit, path="/api/v1/deliveries", filters=filters, key=lambda each: DeliveryKey(each.delivery_id)
    )
    return _with_states(paged, state_)


@get(
    "/{delivery_id:uuid}",
    operation_id="show_delivery",
    summary="One delivery with its history.",
    opt={**READ, "problems": (NotFound,)},
)
async def show_delivery(
    delivery_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> DeliveryHistory:
    reader = database.reader(school_id=caller.school)
    found = await queries.delivery(reader, caller.school, delivery_id)
    if found is None:
        raise NotFound
    return DeliveryHistory(delivery=found, events=await queries.delivery_events(reader, caller.school, delivery_id))


def _with_states(paged: Page[Delivery], states: list[DeliveryState] | None) -> Page[Delivery]:
    """The `next` link with the one filter that can be there more than once."""
    if paged.next is None or not states:
        return paged
    return msgspec.structs.replace(paged, next=f"{paged.next}&{urlencode({'state': states}, doseq=True)}")


router = Router("/api/v1/deliveries", route_handlers=[list_deliveries, show_delivery])
