"""Absences that were reported, and leave that was asked for."""

from datetime import date, datetime, time
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from services.academic.explanations.schemas import ReportKind
from shared.text import pattern

State = Literal["pending", "accepted", "refused", "withdrawn"]
PLAIN: Final = pattern(r"^[^\x00-\x08\x0b-\x1f\x7f]*$", "Must be text; of control characters, lines and tabs only.")
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=PLAIN)]
Answer = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=PLAIN)]
LocalTime = Annotated[time, msgspec.Meta(tz=False)]
Version = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class AbsenceReport(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` and `answer` are null for guardians who did not report it."""

    id: UUID
    student_id: UUID
    student_given_name: str
    student_family_name: str
    guardian_id: UUID | None
    """Who reported it; null when the office wrote it down."""
    kind: ReportKind
    """`absence` explains at once, until the office refuses it; `leave` once the office accepts it."""
    starts_on: date
    ends_on: date
    """The last day, included. Both in the school's time zone."""
    starts_at: time | None
    ends_at: time | None
    """Local times of a part of one day; null is from its beginning, until its end."""
    reason: str | None
    state: State
    answer: str | None
    """What the office says to the guardian."""
    version: int
    reported_at: datetime


class NewAbsenceReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    student_id: UUID
    kind: ReportKind
    starts_on: date
    ends_on: date
    """The last day, included."""
    starts_at: LocalTime | None = None
    ends_at: LocalTime | None = None
    """Only for one day: a lesson that begins from `starts_at` on and before `ends_at` is explained."""
    reason: Reason


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Version
    """The version of the report that was decided on."""
    state: Literal["accepted", "refused"]
    answer: Answer | None = None


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Version


class RecordedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the history: it is never changed."""

    version: int
    state: State
    answer: str | None
    changed_at: datetime
    changed_by: UUID
    """The login."""
