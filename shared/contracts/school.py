"""What `school` tells the others."""

from datetime import date, time
from typing import Final, Literal
from uuid import UUID

import msgspec

DEFAULT_LOCALE: Final = "en-GB"
"""Of a school that has said nothing of it."""


class SchoolChanged(msgspec.Struct, frozen=True, kw_only=True, tag="school.school_changed.v1", tag_field="type"):
    """A school and its settings, as they now are."""

    school_id: UUID
    district_id: UUID
    name: str
    time_zone: str
    """An IANA name; it decides what `today` is."""
    grace_period_minutes: int
    """How long after an absence was marked its alert waits for a correction."""
    register_reminder_minutes: int = 15
    """How long after a lesson began its teacher is reminded of a register that is missing; 0 never."""
    register_escalation_minutes: int = 60
    """How long after a lesson began the office hears of it; 0 never."""
    locale: str = DEFAULT_LOCALE
    """A BCP 47 tag; it decides how dates, times and lists are written."""
    brand_colour: str | None = None
    """`#rrggbb`, to be read on white."""
    logo_url: str | None = None
    """Where browsers find the logo; https."""


class AcademicSession(msgspec.Struct, frozen=True, kw_only=True):
    academic_session_id: UUID
    sourced_id: str | None = None
    title: str
    kind: Literal["school_year", "term", "grading_period"]
    starts_on: date
    ends_on: date
    """The last day, included."""
    parent_id: UUID | None = None


class BellPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One period of one weekday, in the school's local time."""

    period: str
    weekday: int
    """1 is Monday, 7 is Sunday (ISO 8601)."""
    starts_at: time
    ends_at: time


class DayPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One period of one date, in the school's local time."""

    period: str
    starts_at: time
    ends_at: time


class CalendarDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day that is not as its weekday says."""

    day: date
    kind: Literal["holiday", "special"]
    title: str
    periods: list[DayPeriod] | None = None
    """The bells of a special day, all of them; None when they are those of its weekday."""


class GradeDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day that some grades have instead of the school's. No grade has two on a date."""

    day: date
    grades: list[str]
    """Year groups, as the roster names them."""
    kind: Literal["holiday", "special"]
    title: str
    periods: list[DayPeriod] | None = None
    """As those of a `CalendarDay`."""


class CalendarChanged(msgspec.Struct, frozen=True, kw_only=True, tag="school.calendar_changed.v1", tag_field="type"):
    """All that turns a timetable into dates: sessions, bell schedule and days, as they now are, whole."""

    school_id: UUID
    academic_sessions: list[AcademicSession]
    bell_periods: list[BellPeriod]
    calendar_days: list[CalendarDay]
    """Everybody's."""
    grade_days: list[GradeDay] = []
    """Beside those of everybody, so that who does not know of grades does not take them for everybody's."""


SchoolEvent = SchoolChanged | CalendarChanged
