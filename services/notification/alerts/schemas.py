"""One student's day and what guardians were told of it."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

AlertState = Literal["none", "pending", "sent", "corrected", "withheld"]
Reason = Literal["too_late", "nobody_to_tell"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Where the alert of one student's day stands. `episode` counts the absences that guardians hear of."""

    state: AlertState = "none"
    episode: int = 1
    due_at: datetime | None = None
    """When the grace period is over; only while pending."""
    reason: Reason | None = None
    """Why nobody was told; only when withheld."""


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    day: date
    state: AlertState
    episode: int
    due_at: datetime | None
    reason: Reason | None
    version: int
    """Of the last attendance event that was taken in."""
    lessons: list[str]
    marked_by: UUID | None
    """The login that made all marks of these lessons, and is not told of them; none when there are several."""
    traceparent: str | None

    @property
    def alert(self) -> Alert:
        return Alert(state=self.state, episode=self.episode, due_at=self.due_at, reason=self.reason)

    def with_alert(self, alert: Alert) -> "AlertRow":
        return msgspec.structs.replace(
            self, state=alert.state, episode=alert.episode, due_at=alert.due_at, reason=alert.reason
        )


class DueAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the queue: ids only."""

    school_id: UUID
    student_id: UUID
    day: date
