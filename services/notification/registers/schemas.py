"""What was heard of registers."""

from uuid import UUID

import msgspec


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson whose register is no longer missing."""

    lesson_id: UUID
