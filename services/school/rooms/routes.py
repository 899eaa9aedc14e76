"""Rooms over HTTP."""

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from services.school.caches import ROOMS
from services.school.rooms import actions, queries
from services.school.rooms.rules import RoomExists
from services.school.rooms.schemas import NewRoom, Room, RoomKey
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound
from shared.web.conditional import Answers


@get(
    "/",
    operation_id="list_rooms",
    summary="The school's rooms, by name.",
    opt={"permission": "school.read", "cached": ROOMS},
)
async def list_rooms(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    answers: NamedDependency[Answers],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[Room]]:
    after = decode_cursor(cursor, RoomKey) or RoomKey("")

    async def read() -> Page[Room]:
        reader = database.reader(school_id=caller.school)
        found = await queries.rooms(reader, school_id=caller.school, after=after.name, limit=limit + 1)
        return page(found, limit=limit, path="/api/v1/rooms", key=lambda room: RoomKey(room.name))

    return await answers.of(caller.school, (after, limit), read)


@post(
    "/",
    operation_id="add_room",
    summary="Add a room.",
    opt={"permission": "school.manage", "problems": (NotFound, RoomExists)},
)
async def add_room(
    data: JSONBody[NewRoom], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Room:
    return await actions.add_room(database, caller.school, data)


router = Router("/api/v1/rooms", route_handlers=[list_rooms, add_room])
