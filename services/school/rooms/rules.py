"""What may go wrong with rooms."""

from shared.problems import Conflict


class RoomExists(Conflict):
    slug = "room-exists"
    title = "There is a room of this name already"
