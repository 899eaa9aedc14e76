"""Registers, marks and the days derived from them."""

from datetime import date, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from services.academic.explanations.schemas import ReportKind
from shared.text import pattern

CODE_PATTERN: Final = pattern(
    r"^[A-Z0-9/\\#-]{1,8}$(?!\n)", "Must be one to eight capital letters, digits or any of / \\ # -."
)
CodeText = Annotated[str, msgspec.Meta(max_length=8, pattern=CODE_PATTERN)]
Kind = Literal["present", "late", "absent", "excused"]
DayStatus = Literal["present", "late", "absent", "excused", "unmarked"]
Minutes = Annotated[int, msgspec.Meta(ge=0, le=600)]
Reason = Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


class AttendanceCode(msgspec.Struct, frozen=True, kw_only=True):
    """A school's code for a mark and what it counts as."""

    code: str
    title: str
    kind: Kind
    is_alerting: bool
    """Whether guardians hear of it: an absence that nobody has explained."""
    statutory_code: str | None
    is_active: bool
    suggested_for: ReportKind | None = None
    """Which absence reports it is suggested for when a register is taken."""


class AttendanceCodeChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    kind: Kind
    is_alerting: bool = False
    statutory_code: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    is_active: bool = True
    suggested_for: ReportKind | None = None
    """Only with kind `excused`."""


class MarkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    student_id: UUID
    code: CodeText
    minutes_late: Minutes | None = None
    """Needed with a code that counts as late, refused with others."""


class RegisterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The register of a class in one call. Marks that are the same as before add nothing to the history."""

    version: Annotated[int, msgspec.Meta(ge=0)]
    """The version of the register that the teacher saw; 0 when nobody had saved it."""
    marks: Annotated[list[MarkRequest], msgspec.Meta(max_length=500)]
    default_code: CodeText | None = None
    """For every student of the roll who is not in `marks` and has no mark yet: mark the exceptions only.

    Those with a `prefill` get its code instead, for as long as their absence is explained.
    """
    reason: Reason | None = None
    """Why marks are changed; needed as soon as one is."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    kind: Kind
    is_alerting: bool
    minutes_late: int | None
    is_prefilled: bool = False
    """Whether `default_code` took it from the `prefill`, and nobody changed it since. Once nothing explains the absence
    any more it counts as an absence that alerts, and `kind` and `is_alerting` say so."""


class MarkOfStudent(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    code: str
    kind: Kind
    is_alerting: bool
    minutes_late: int | None
    is_prefilled: bool


class RecordedMark(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the history: it is never changed, a correction is a further entry."""

    student_id: UUID
    code: str
    kind: Kind
    minutes_late: int | None
    register_version: int
    recorded_at: datetime
    recorded_by: UUID
    """The login that saved the register."""
    reason: str | None
    is_prefilled: bool = False
    """Whether `default_code` took it from what explained the absence then."""


class Prefill(msgspec.Struct, frozen=True, kw_only=True):
    """What an absence report suggests for this lesson, or a day that the student's own grade has off."""

    code: str | None
    """Null when no code of the school counts as excused."""
    absence_report_id: UUID | None
    """Null when it is their grade that is off."""


class RegisterLine(msgspec.Struct, frozen=True, kw_only=True):
    """One student of the roll; `mark` is null until somebody has marked them."""

    student_id: UUID
    given_name: str
    family_name: str
    mark: Mark | None
    earlier_today: str | None
    """The code of the student's latest mark in an earlier lesson of the day: what the teacher can begin from."""
    prefill: Prefill | None
    """Null for who is expected; never told with `as_of`."""


class Register(msgspec.Struct, frozen=True, kw_only=True):
    lesson_id: UUID
    class_id: UUID
    day: date
    version: int
    saved_at: datetime | None
    lines: list[RegisterLine]


class MarkedLesson(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson of one student's day, marked or not."""

    lesson_id: UUID
    class_title: str
    period: str
    starts_at: datetime
    ends_at: datetime
    code: str | None
    kind: Kind | None
    """What it counts as: of a mark by `prefill` that nothing explains any more, `absent`."""
    is_alerting: bool | None
    minutes_late: int | None
    is_explained: bool = False
    """Whether an absence report in effect covers the lesson, or the student's grade is off while the class is not: an
    alerting mark in it counts as excused."""


class CountedLesson(MarkedLesson, frozen=True, kw_only=True):
    """The same with what only the derivation of the day needs to know: it is not shown."""

    recorded_by: UUID | None = None
    """The login that made the mark."""
    is_prefilled: bool | None = False


class StudentDay(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    day: date
    status: DayStatus
    lessons: list[MarkedLesson]


class AttendanceDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a day amounts to, by the rule of `rules.day_of`."""

    status: DayStatus
    is_unexplained_absence: bool
    missed_lessons: tuple[str, ...]
    """Titles of the lessons missed without explanation, in order of time."""
    marked_by: tuple[UUID, ...] = ()
    """The logins that made the marks of those lessons, in order."""
    explained_lessons: tuple[str, ...] = ()
    """Titles of the lessons missed that alert nobody, in order of time."""


class AttendanceDayRow(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    status: DayStatus
    is_unexplained_absence: bool


class AttendanceDays(msgspec.Struct, frozen=True, kw_only=True):
    """The marked days from `starts_on` to `ends_on`, both included."""

    starts_on: date
    ends_on: date
    items: list[AttendanceDayRow]
