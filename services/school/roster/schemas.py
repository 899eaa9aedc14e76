"""Where a page of the snapshot ends; the roster itself is in `shared.contracts.roster`."""

from uuid import UUID

import msgspec


class SchoolKey(msgspec.Struct, frozen=True):
    school_id: UUID
