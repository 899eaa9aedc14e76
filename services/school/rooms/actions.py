"""Adding rooms."""

from uuid import UUID

from services.school.rooms import queries
from services.school.rooms.rules import RoomExists
from services.school.rooms.schemas import NewRoom, Room
from services.school.schools.actions import lock_school
from shared.database import Database
from shared.ids import new_id
from shared.problems import FieldError


async def add_room(database: Database, school_id: UUID, new: NewRoom) -> Room:
    """Raises NotFound, RoomExists."""
    room = Room(room_id=new_id(), name=new.name)
    async with database.transaction(school_id=school_id) as tx:
        await lock_school(tx, school_id)
        if not await queries.add_room(tx, school_id=school_id, room=room):
            raise RoomExists(errors=[FieldError("/name", "Choose another name.")])
    return room
