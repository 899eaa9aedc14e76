"""Lessons whose register is missing, or lacks somebody."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

Step = Literal["teacher", "office"]
Lack = Literal["missing", "incomplete"]


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The school's settings: so long after a lesson began; 0 is never."""

    reminder_minutes: int
    escalation_minutes: int


class OpenLesson(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson that meets and has students, whose register nobody has saved, or saved without somebody of the roll."""

    lesson_id: UUID
    class_id: UUID
    class_title: str
    day: date
    starts_at: datetime
    ends_at: datetime
    teacher_ids: list[UUID]
    told: list[Step]


class ToldLesson(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson of whose register somebody was told that it is missing."""

    lesson_id: UUID
    is_planned: bool
    """Whether there still is such a lesson."""


class DueLesson(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told of a lesson now."""

    lesson: OpenLesson
    step: Step


class MissingRegister(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson that has begun and has students without a mark; instants carry the school's offset."""

    lesson_id: UUID
    register: str
    """The path of the register that is to be saved."""
    class_id: UUID
    class_title: str
    day: date
    period: str
    starts_at: datetime
    ends_at: datetime
    room: str | None
    teacher_ids: list[UUID]
    lack: Lack
    """`missing`: nobody saved it; `incomplete`: it was saved, and somebody of the roll has no mark in it."""
    students: int
    """How many are on the roll that day."""
    unmarked: int
    """How many of them have no mark."""
    reminded_at: datetime | None
    """When those who teach it were told."""
    escalated_at: datetime | None
    """When the office was told."""


class MissingKey(msgspec.Struct, frozen=True):
    """Where a page of the list ends."""

    day: date
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)]
    lesson_id: UUID
