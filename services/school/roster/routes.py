"""For other services: the roster that an import sends, and all schools at once."""

from typing import Any
from uuid import UUID

from litestar import Request, Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.school.roster import actions
from services.school.roster.rules import InvalidRoster
from services.school.roster.schemas import SchoolKey
from services.school.settings import Settings
from shared.contracts.roster import RosterSchoolSaved, RosterUpsert, RosterUpserted
from shared.database import Database
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import Forbidden
from shared.web.access import require_service


@put(
    "/roster",
    operation_id="save_roster",
    summary="Save the roster of one district; the same again changes nothing.",
    opt={"internal": True, "problems": (Forbidden, InvalidRoster)},
)
async def save_roster(
    request: Request[Any, Any, Any],
    data: JSONBody[RosterUpsert],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> RosterUpserted:
    require_service(request, "academic")
    return await actions.save_roster(database, data, default_time_zone=settings.default_time_zone)


@get(
    "/schools",
    operation_id="snapshot_schools",
    summary="All schools and their calendars, with the versions of the events that tell the same.",
    opt={"internal": True},
)
async def snapshot_schools(
    database: NamedDependency[Database], limit: Limit = 50, cursor: Cursor = None
) -> Page[RosterSchoolSaved]:
    after = decode_cursor(cursor, SchoolKey) or SchoolKey(UUID(int=0))
    found = await actions.snapshot(database, after_id=after.school_id, limit=limit + 1)
    return page(found, limit=limit, path="/internal/schools", key=lambda each: SchoolKey(each.school.school_id))


router = Router("/internal", route_handlers=[save_roster, snapshot_schools])
