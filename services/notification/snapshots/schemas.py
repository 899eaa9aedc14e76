"""Where a page of a snapshot ends."""

from uuid import UUID

import msgspec


class SnapshotKey(msgspec.Struct, frozen=True):
    id: UUID
