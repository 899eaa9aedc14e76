"""Lessons: a class meets in one period of one day."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from services.academic.calendar.schemas import GradeDayName

Period = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
Room = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Class(msgspec.Struct, frozen=True, kw_only=True):
    """What planning needs of a class; it meets in each of `periods` on each day of its terms."""

    class_id: UUID
    title: str
    periods: tuple[str, ...]
    room: str | None
    terms: tuple["Term", ...]
    teachers: tuple["TeacherSpell", ...]
    grades: tuple[str, ...] = ()
    """The year groups that it is for, each once; none when it is for any."""


class Term(msgspec.Struct, frozen=True):
    starts_on: date
    ends_on: date


class TeacherSpell(msgspec.Struct, frozen=True):
    """From when until when (both included; None is open) a teacher teaches a class."""

    teacher_id: UUID
    starts_on: date
    ends_on: date | None


class PlannedLesson(msgspec.Struct, frozen=True, kw_only=True):
    class_id: UUID
    title: str
    day: date
    period: str
    starts_at: datetime
    ends_at: datetime
    room: str | None
    teacher_ids: frozenset[UUID]
    has_own_room: bool = False
    """Whether its room was chosen for this lesson alone, by hand."""
    is_cancelled: bool = False


class Clash(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson that the classes ask for and that cannot be: the teacher, room or class is at another one."""

    kind: str
    """`class`, `teacher` or `room`."""
    class_id: UUID
    other_class_id: UUID
    day: date
    period: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    lessons: list[PlannedLesson]
    clashes: list[Clash]


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson as its teacher, students and guardians see it; instants carry the school's offset."""

    id: UUID
    class_id: UUID
    class_title: str
    day: date
    period: str
    starts_at: datetime
    ends_at: datetime
    room: str | None
    teacher_ids: list[UUID]
    is_cancelled: bool
    register_version: int
    """0 while nobody has saved the register."""
    version: int


class LessonsOfDay(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    time_zone: str
    holiday: str | None
    """The title of the holiday, when the school is closed, but for grades with a day of their own."""
    special_day: str | None
    """The title of a day with other bells than its weekday's, or with something else about it."""
    items: list[Lesson]
    grade_days: list[GradeDayName] = []
    """The grades that have another day than the school's."""


class NewLesson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    class_id: UUID
    day: date
    period: Period
    room: Room | None = None


class LessonChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. To move a lesson, cancel it and add one at the other time."""

    version: Annotated[int, msgspec.Meta(ge=1)]
    """The version of the lesson that is changed."""
    room: Room | UnsetType | None = UNSET
    is_cancelled: bool | UnsetType = UNSET
