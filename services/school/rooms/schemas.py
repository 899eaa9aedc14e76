"""The rooms of a school."""

from typing import Annotated
from uuid import UUID

import msgspec

from shared.text import LINE

RoomName = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=LINE)]


class Room(msgspec.Struct, frozen=True, kw_only=True):
    room_id: UUID
    name: str


class NewRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: RoomName


class RoomKey(msgspec.Struct, frozen=True):
    name: str
