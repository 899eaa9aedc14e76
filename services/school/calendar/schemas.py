"""Sessions, bells and days, as they are asked for; what is kept and told is in `shared.contracts.school`."""

from datetime import date, time
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.contracts.school import BellPeriod, DayPeriod
from shared.text import TRIMMED

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=TRIMMED)]
PeriodName = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=TRIMMED)]
Grade = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=TRIMMED)]
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


class SessionDates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be corrected of a session; its kind and its parent stay."""

    title: Title
    starts_on: date
    ends_on: date
    """The last day, included."""


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


class NewDayPeriod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    period: PeriodName
    starts_at: LocalTime
    ends_at: LocalTime


class NewCalendarDay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A special day may have bells of its own (`periods`), or those of its weekday, cut to `opens_at`, `closes_at`."""

    kind: Literal["holiday", "special"]
    title: Title
    periods: Annotated[list[NewDayPeriod], msgspec.Meta(min_length=1, max_length=50)] | None = None
    """All bells of the day, whatever its weekday."""
    opens_at: LocalTime | None = None
    """A late start."""
    closes_at: LocalTime | None = None
    """An early close."""


class NewGradeDay(NewCalendarDay, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day like any other, for some grades only."""

    grades: Annotated[list[Grade], msgspec.Meta(min_length=1, max_length=50)]
    """Year groups, as the students' records name them; `GET /grades` of `academic` lists those."""


class NewGradeDays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All grade days of a date; what is not in it is no more. No grade is in two of them."""

    grade_days: Annotated[list[NewGradeDay], msgspec.Meta(min_length=1, max_length=50)]


class SpecialDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day that is not as its weekday says."""

    day: date
    kind: Literal["holiday", "special"]
    title: str
    opens_at: time | None = None
    closes_at: time | None = None
    periods: list[DayPeriod] | None = None
    """The bells as they ring on that day; null when they are those of its weekday."""


class GradeDay(SpecialDay, frozen=True, kw_only=True):
    """A day that its grades have instead of the school's."""

    grades: list[str]


class GradeDays(msgspec.Struct, frozen=True, kw_only=True):
    """All grade days of a date, by their first grades."""

    day: date
    grade_days: list[GradeDay]


class SessionKey(msgspec.Struct, frozen=True):
    """Where a page of sessions ends."""

    starts_on: date
    academic_session_id: UUID
