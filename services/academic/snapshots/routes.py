"""For `school`: what its read model of a day is made of, when it is made anew."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.academic.snapshots import actions
from services.academic.snapshots.schemas import SnapshotKey
from shared.contracts.snapshots import SnapshotKind, SnapshotRow
from shared.database import Database
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import Forbidden
from shared.web.access import require_service

OfSchool = Annotated[UUID, QueryParameter(name="school_id", description="Whose records.")]
OfKind = Annotated[SnapshotKind, QueryParameter(name="kind", description="Which records.")]
OnDay = Annotated[date, QueryParameter(name="day", description="Of what has a day, this one; of reports, since then.")]


@get(
    "/snapshot",
    operation_id="show_snapshot",
    summary="What was told last of a school's records of one kind, with the versions of those events.",
    opt={"internal": True, "problems": (Forbidden,)},
)
async def show_snapshot(
    request: Request[Any, Any, Any],
    school_id: OfSchool,
    kind: OfKind,
    day: OnDay,
    database: NamedDependency[Database],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SnapshotRow]:
    require_service(request, "school")
    after = decode_cursor(cursor, SnapshotKey) or SnapshotKey(UUID(int=0))
    found = await actions.snapshot(database, school_id, kind, day, after_id=after.id, limit=limit + 1)
    return page(
        found,
        limit=limit,
        path="/internal/snapshot",
        filters={"school_id": school_id, "kind": kind, "day": day},
        key=lambda row: SnapshotKey(actions.id_of(school_id, row.data)),
    )


router = Router("/internal", route_handlers=[show_snapshot])
