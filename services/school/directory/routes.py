"""Districts and schools, for the platform admin."""

from typing import Annotated, Final
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.school.directory import queries
from services.school.directory.schemas import DirectoryEntry, District, NameKey
from shared.database import Database
from shared.pages import Cursor, Limit, Page, decode_cursor, page

OfDistrict = Annotated[UUID | None, QueryParameter(description="Only the schools of this district.")]

READ: Final = {"permission": "directory.read"}
FIRST: Final = NameKey("", UUID(int=0))


@get("/districts", operation_id="list_districts", summary="All districts, by name.", opt=READ)
async def list_districts(
    database: NamedDependency[Database], limit: Limit = 50, cursor: Cursor = None
) -> Page[District]:
    after = decode_cursor(cursor, NameKey) or FIRST
    found = await queries.districts(database.reader(), after=after, limit=limit + 1)
    return page(found, limit=limit, path="/api/v1/districts", key=lambda each: NameKey(each.name, each.district_id))


@get("/schools", operation_id="list_schools", summary="All schools, by name.", opt=READ)
async def list_schools(
    database: NamedDependency[Database], district_id: OfDistrict = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[DirectoryEntry]:
    after = decode_cursor(cursor, NameKey) or FIRST
    found = await queries.schools(database.reader(), district_id=district_id, after=after, limit=limit + 1)
    return page(
        found,
        limit=limit,
        path="/api/v1/schools",
        filters={"district_id": district_id},
        key=lambda each: NameKey(each.name, each.school_id),
    )


router = Router("/api/v1", route_handlers=[list_districts, list_schools])
