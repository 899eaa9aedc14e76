"""SQL over rooms."""

from uuid import UUID

from services.school.rooms.schemas import Room
from shared.database import Reader, Tx

# Uses room_name.
ROOMS = """
SELECT room_id, name
FROM room
WHERE school_id = %(school_id)s
AND name > %(after)s
ORDER BY name
LIMIT %(limit)s
"""


async def rooms(reader: Reader, *, school_id: UUID, after: str, limit: int) -> list[Room]:
    return await reader.all(Room, ROOMS, school_id=school_id, after=after, limit=limit)


ADD_ROOM = """
INSERT INTO room (school_id, room_id, name)
VALUES (%(school_id)s, %(room_id)s, %(name)s)
ON CONFLICT (school_id, name) DO NOTHING
"""


async def add_room(tx: Tx, *, school_id: UUID, room: Room) -> bool:
    """False when there is one of this name."""
    return await tx.execute(ADD_ROOM, school_id=school_id, room_id=room.room_id, name=room.name) == 1
