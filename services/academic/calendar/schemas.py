"""What academic knows of a school: its zone, sessions, bell schedule and days."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from shared.contracts.school import DayPeriod


class KnownSchool(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    time_zone: str
    register_reminder_minutes: int
    register_escalation_minutes: int


class Session(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    sourced_id: str | None
    title: str
    kind: str
    starts_on: date
    ends_on: date


class SpecialDay(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    kind: str
    title: str
    periods: list[DayPeriod] | None
    """The bells of that day, all of them; None when they are those of its weekday."""


class GradeDay(SpecialDay, frozen=True, kw_only=True):
    """A day that one grade has instead of the school's."""

    grade: str


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """The days that are not as their weekday says."""

    days: Sequence[SpecialDay]
    """Everybody's."""
    grade_days: Sequence[GradeDay]


class DayName(msgspec.Struct, frozen=True, kw_only=True):
    """What the calendar calls a day that is not as its weekday says."""

    kind: str
    title: str


class GradeDayName(DayName, frozen=True, kw_only=True):
    """The same for one grade, where it is another day for that than for everybody."""

    grade: str
