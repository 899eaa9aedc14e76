"""Sessions, bells and days, as they are asked for; what is kept and told is in `shared.contracts.school`."""

from datetime import date, time
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.contracts.school import BellPeriod

PLAIN = r"^[^\x00-\x1f\x7f]*$"
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=PLAIN)]
PeriodName = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=PLAIN)]
LocalTime = Annotated[time, msgspec.Meta(tz=False)]
SessionKind = Literal["school_year", "term", "grading_period"]


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Title
    kind: SessionKind
    starts_on: date
    ends_on: date
    """The last day, included."""
    parent_id: UUID | None = None
    """A school year has none; a term lies in a year, a grading period in a year or a term."""


class NewBellPeriod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    weekday: Annotated[int, msgspec.Meta(ge=1, le=7)]
    """1 is Monday, 7 is Sunday (ISO 8601)."""
    period: PeriodName
    starts_at: LocalTime
    """In the school's local time."""
    ends_at: LocalTime


class NewBellSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole week; what is not in it is no more."""

    periods: Annotated[list[NewBellPeriod], msgspec.Meta(max_length=200)]


class BellSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """In order of weekday and time."""

    periods: list[BellPeriod]


class NewCalendarDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["holiday", "special"]
    title: Title


class SessionKey(msgspec.Struct, frozen=True):
    """Where a page of sessions ends."""

    starts_on: date
    academic_session_id: UUID


class DayKey(msgspec.Struct, frozen=True):
    """Where a page of calendar days ends."""

    day: date
