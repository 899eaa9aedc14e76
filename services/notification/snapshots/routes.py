"""For `school`: what its read model of mails is made of, when it is made anew."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.notification.snapshots import queries
from services.notification.snapshots.schemas import SnapshotKey
from shared.contracts.snapshots import DeliverySnapshotRow
from shared.database import Database
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import Forbidden
from shared.web.access import require_service

OfSchool = Annotated[UUID, QueryParameter(name="school_id", description="Whose records.")]
OfDay = Annotated[date, QueryParameter(name="day", description="The school day that the mails are about.")]


@get(
    "/snapshot",
    operation_id="show_delivery_snapshot",
    summary="What became of the mails about a school day, with versions.",
    opt={"internal": True, "problems": (Forbidden,)},
)
async def show_delivery_snapshot(
    request: Request[Any, Any, Any],
    school_id: OfSchool,
    day: OfDay,
    database: NamedDependency[Database],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeliverySnapshotRow]:
    require_service(request, "school")
    after = decode_cursor(cursor, SnapshotKey) or SnapshotKey(UUID(int=0))
    # Fresh: a rebuild must miss nothing that was told.
    reader = database.reader(school_id=school_id, is_fresh=True)
    found = await queries.ended_mails(reader, school_id=school_id, day=day, after_id=after.id, limit=limit + 1)
    return page(
        found,
        limit=limit,
        path="/internal/snapshot",
        filters={"school_id": school_id, "day": day},
        key=lambda row: SnapshotKey(row.data.delivery_id),
    )


router = Router("/internal", route_handlers=[show_delivery_snapshot])
