"""Where a stream of notifications goes on."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

OVERLAP: Final = timedelta(seconds=10)
"""Ids are made before their transaction commits: one that came out late may have an id of a little earlier."""


def resume_after(last_event_id: UUID) -> UUID:
    """The id after which a reconnected reader is told again: some notifications twice, none never.

    Ids are UUIDv7, their first 48 bits the milliseconds since 1970.
    """
    milliseconds = max(0, (last_event_id.int >> 80) - OVERLAP // timedelta(milliseconds=1))
    return UUID(int=milliseconds << 80)


def seconds_left(expires_at: int, now: datetime) -> float:
    """How long a token is still good for."""
    return (datetime.fromtimestamp(expires_at, UTC) - now).total_seconds()
