"""What `academic` tells the others."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class StudentChanged(msgspec.Struct, frozen=True, kw_only=True, tag="academic.student_changed.v1", tag_field="type"):
    """A student as the school now records them."""

    student_id: UUID
    given_name: str
    family_name: str
    """Empty for people who have none."""
    email: str | None = None
    grade: str | None = None
    """The year group, as the roster names it."""
    is_active: bool


class TeacherChanged(msgspec.Struct, frozen=True, kw_only=True, tag="academic.teacher_changed.v1", tag_field="type"):
    """A teacher as the school now records them."""

    teacher_id: UUID
    given_name: str
    family_name: str
    email: str | None = None
    is_active: bool


class GuardianChanged(msgspec.Struct, frozen=True, kw_only=True, tag="academic.guardian_changed.v1", tag_field="type"):
    """A guardian as one school knows them; with children at two schools there are two, with one login."""

    guardian_id: UUID
    given_name: str
    family_name: str
    email: str | None = None
    is_active: bool


class GuardianLinkChanged(
    msgspec.Struct, frozen=True, kw_only=True, tag="academic.guardian_link_changed.v1", tag_field="type"
):
    """What one guardian may do and hear about one child, from `starts_on` to `ends_on` (both included)."""

    guardian_link_id: UUID
    guardian_id: UUID
    student_id: UUID
    relation: str
    may_see: bool
    receives_alerts: bool
    priority: int
    """1 is called first."""
    starts_on: date | None = None
    ends_on: date | None = None
    is_active: bool
    """False once the link was removed; then nothing may be seen or sent, whatever the dates say."""


class ClassMember(msgspec.Struct, frozen=True, kw_only=True):
    person_id: UUID
    role: Literal["student", "teacher"]
    starts_on: date
    ends_on: date | None = None


class ClassChanged(msgspec.Struct, frozen=True, kw_only=True, tag="academic.class_changed.v1", tag_field="type"):
    """A class and all its members, as they now are."""

    class_id: UUID
    title: str
    is_active: bool
    members: list[ClassMember]
    grades: list[str] = []
    """The year groups that the class is for, in order; empty when it is for any."""


class AttendanceDayChanged(
    msgspec.Struct, frozen=True, kw_only=True, tag="academic.attendance_day_changed.v1", tag_field="type"
):
    """A student's day after a register or an absence report changed: derived from all marks of that day.

    The envelope's `version` counts the changes of this student's day.
    """

    student_id: UUID
    day: date
    """In the school's time zone."""
    status: Literal["present", "late", "absent", "excused", "unmarked"]
    is_unexplained_absence: bool
    """True when at least one lesson of the day is marked with a code that absence alerts are for, and no report in
    effect covers it."""
    lessons: list[str]
    """The titles of the lessons missed without explanation, in order of time."""
    changed_at: Instant
    """When the mark was made, the report changed, or the lesson was cancelled or brought back, that is behind this; the
    grace period counts from here."""
    changed_by: UUID
    """The login that saved the register, or changed the report or the lesson."""
    marked_by: list[UUID] | None = None
    """The logins that made the marks of `lessons`: nobody is alerted about their own mark. None where an older
    publisher did not say; then `changed_by` is taken for it."""
    explained_lessons: list[str] | None = None
    """The titles of the lessons missed that alert nobody: a report in effect covers them, or their code says so. None
    where an older publisher did not say."""


class AbsenceReportChanged(
    msgspec.Struct, frozen=True, kw_only=True, tag="academic.absence_report_changed.v1", tag_field="type"
):
    """What a guardian reported of a child's absence, or asked leave for, and what the office made of it."""

    absence_report_id: UUID
    student_id: UUID
    guardian_id: UUID | None = None
    """Who reported it; none when the office wrote it down."""
    kind: Literal["absence", "leave"]
    starts_on: date
    ends_on: date
    """The last day, included. Both in the school's time zone."""
    state: Literal["pending", "accepted", "refused", "withdrawn"]
    """An `absence` explains while it is pending or accepted, `leave` only once it is accepted."""
    answer: str | None = None
    """What the office says to the guardian."""
    changed_by: UUID
    """The login: nobody is told about their own action."""


class RegisterMissing(msgspec.Struct, frozen=True, kw_only=True, tag="academic.register_missing.v1", tag_field="type"):
    """A lesson that met and had students has no register, or one that leaves out somebody who was on the roll.

    Told once a step, when it is time that somebody hears of it.
    """

    lesson_id: UUID
    class_id: UUID
    class_title: str
    day: date
    """In the school's time zone."""
    starts_at: Instant
    ends_at: Instant
    step: Literal["teacher", "office"]
    """Who is to be told: those who teach the class, later the office too."""
    teacher_ids: list[UUID]


class RegisterNotMissing(
    msgspec.Struct, frozen=True, kw_only=True, tag="academic.register_not_missing.v1", tag_field="type"
):
    """A lesson whose register was told to be missing needs none any more, though nobody saved it whole.

    It does not meet or is planned no longer, or whoever lacked a mark is not on the roll.
    """

    lesson_id: UUID


class LessonOfDay(msgspec.Struct, frozen=True, kw_only=True):
    lesson_id: UUID
    class_id: UUID
    class_title: str
    starts_at: Instant
    ends_at: Instant
    teacher_ids: list[UUID]
    is_cancelled: bool
    is_on_holiday: bool | None = None
    """Whether the day is a holiday for the class, so that the lesson does not meet. None in what was told before there
    were days of grades: then the school's day says it."""


class LessonsPlanned(msgspec.Struct, frozen=True, kw_only=True, tag="academic.lessons_planned.v1", tag_field="type"):
    """All lessons of one day of a school, as they now are: told a day ahead, and again when they changed.

    Subject and version are the day's. Changes that follow each other within a second or two are told at once.
    """

    day: date
    """In the school's time zone."""
    lessons: list[LessonOfDay]
    """In order of time; 2000 at the most, the first ones."""


class RegisterSaved(msgspec.Struct, frozen=True, kw_only=True, tag="academic.register_saved.v1", tag_field="type"):
    """The register of a lesson was saved, for the first time or to correct it. The subject is the lesson."""

    lesson_id: UUID
    day: date
    """In the school's time zone."""
    saved_at: Instant
    present: int
    """So many students have a mark of this kind now; who has none is counted nowhere."""
    absent: int
    late: int
    excused: int
    marked_student_ids: list[UUID] | None = None
    """Who has a mark; None where an older publisher did not say."""
    is_complete: bool | None = None
    """Whether everybody on the roll has a mark; one that is not complete is still missing (`RegisterMissing`). None
    where an older publisher did not say."""


AcademicEvent = (
    StudentChanged
    | TeacherChanged
    | GuardianChanged
    | GuardianLinkChanged
    | ClassChanged
    | AttendanceDayChanged
    | AbsenceReportChanged
    | RegisterMissing
    | RegisterNotMissing
    | LessonsPlanned
    | RegisterSaved
)
