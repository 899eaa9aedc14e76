"""Weeks or days that take turns, as they are asked for, kept and shown."""

from datetime import date
from typing import Annotated, Literal

import msgspec

from services.school.calendar.schemas import LocalTime, PeriodName
from shared.text import TRIMMED

TurnName = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=TRIMMED)]
Weekday = Annotated[int, msgspec.Meta(ge=1, le=7)]


class TurnPeriod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A period that is held only when it is its turn, in the school's local time."""

    weekday: Weekday | None = None
    """1 is Monday, 7 is Sunday (ISO 8601); null for every weekday of the rotation."""
    period: PeriodName
    starts_at: LocalTime
    ends_at: LocalTime


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: TurnName
    """What the school calls it, such as `A` or `Day 3`."""
    periods: Annotated[list[TurnPeriod], msgspec.Meta(max_length=200)]
    """Besides those of the bell schedule, which are held whosever turn it is."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Turns follow each other in their order, and then begin anew."""

    kind: Literal["weeks", "days"]
    """Whether a turn lasts a week, from Monday, or a day."""
    starts_on: date
    """In the week, or on the first school day from here on, it is the first one's turn."""
    weekdays: Annotated[list[Weekday], msgspec.Meta(min_length=1, max_length=7)] = msgspec.field(
        default_factory=lambda: [1, 2, 3, 4, 5]
    )
    """On which the school meets; Monday to Friday unless it says otherwise."""
    skips_days_off: bool = True
    """Whether a week without school, or a holiday, leaves the turn to what comes after it; else its turn is lost."""
    turns: Annotated[list[Turn], msgspec.Meta(min_length=2, max_length=20)]


class RotationDay(msgspec.Struct, frozen=True, kw_only=True):
    """A school day, and whose turn it is."""

    day: date
    turn: str
