"""Where a page of a snapshot ends."""

from uuid import UUID

import msgspec


class SnapshotKey(msgspec.Struct, frozen=True):
    announcement_id: UUID
    recipient_id: UUID
