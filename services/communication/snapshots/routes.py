"""For `school`: what its read model of unread messages is made of, when it is made anew."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.communication.snapshots import actions
from services.communication.snapshots.schemas import SnapshotKey
from shared.contracts.snapshots import AnnouncementKind, AnnouncementSnapshotRow
from shared.database import Database
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import Forbidden
from shared.web.access import require_service

OfSchool = Annotated[UUID, QueryParameter(name="school_id", description="Whose records.")]
OfKind = Annotated[AnnouncementKind, QueryParameter(name="kind", description="Which records; receipts are of staff.")]


@get(
    "/snapshot",
    operation_id="show_announcement_snapshot",
    summary="What was told last of a school's announcements, or of what its staff read, with versions.",
    opt={"internal": True, "problems": (Forbidden,)},
)
async def show_announcement_snapshot(
    request: Request[Any, Any, Any],
    school_id: OfSchool,
    kind: OfKind,
    database: NamedDependency[Database],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AnnouncementSnapshotRow]:
    require_service(request, "school")
    after = decode_cursor(cursor, SnapshotKey) or actions.FIRST
    found = await actions.snapshot(database, school_id, kind, after=after, limit=limit + 1)
    return page(
        found,
        limit=limit,
        path="/internal/snapshot",
        filters={"school_id": school_id, "kind": kind},
        key=lambda row: actions.key_of(row.data),
    )


router = Router("/internal", route_handlers=[show_announcement_snapshot])
