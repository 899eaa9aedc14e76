"""A school's day, as each role is shown it."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

RegisterState = Literal["missing", "incomplete", "saved", "to_come", "not_needed"]
DayStatus = Literal["present", "late", "absent", "excused", "unmarked"]


class DayName(msgspec.Struct, frozen=True, kw_only=True):
    """What the calendar says of a day that is not as its weekday says."""

    kind: Literal["holiday", "special"]
    title: str


class GradeDayName(DayName, frozen=True, kw_only=True):
    """What the calendar says of a day to one grade, instead of what it says to everybody."""

    grade: str


class People(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are now; who left, or ended, is not counted."""

    students: int
    teachers: int
    classes: int


class Attendance(msgspec.Struct, frozen=True, kw_only=True):
    """How many students have which kind of day so far."""

    present: int
    absent: int
    late: int
    excused: int
    unmarked: int
    """They have a lesson today, and no mark yet."""


class Registers(msgspec.Struct, frozen=True, kw_only=True):
    """Today's lessons that are not cancelled, by what became of their registers."""

    lessons: int
    saved: int
    """With a mark for everybody."""
    incomplete: int
    """Saved, and somebody of the class has no mark."""
    missing: int
    """Begun, with students, and not saved."""
    to_come: int
    """Not begun."""
    not_needed: int
    """Begun, without students."""


class LessonsAt(msgspec.Struct, frozen=True, kw_only=True):
    """Lessons that begin together and are not cancelled; what is missing of them depends on the time."""

    starts_at: datetime
    saved: int
    incomplete: int
    unsaved: int
    """Of those with students."""
    empty: int
    """Neither saved nor with students."""


class UnreachedStudent(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
    family_name: str
    guardians: int
    """So many were not reached; 0 when there was nobody to write to."""


class Unreached(msgspec.Struct, frozen=True, kw_only=True):
    """Today's absence alerts whose mail did not arrive."""

    guardians: int
    students: list[UnreachedStudent]
    """At most 200."""


class OpenReports(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for the office, unless its last day is over."""

    leave: int
    absences: int


class OfficeDay(msgspec.Struct, frozen=True, kw_only=True):
    people: People
    attendance: Attendance
    registers: Registers
    unreached: Unreached
    pending: OpenReports


class LessonTaught(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson of a teacher; what its register is like depends on the time."""

    lesson_id: UUID
    class_id: UUID
    class_title: str
    starts_at: datetime
    ends_at: datetime
    is_cancelled: bool
    students: int
    saved_at: datetime | None
    is_incomplete: bool
    """Saved, and somebody of the class has no mark."""


class OwnLesson(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson that the caller gives; instants carry the school's offset."""

    lesson_id: UUID
    class_id: UUID
    class_title: str
    starts_at: datetime
    ends_at: datetime
    is_cancelled: bool
    students: int
    """How many are on the roll."""
    register: RegisterState
    saved_at: datetime | None


class StudentLesson(msgspec.Struct, frozen=True, kw_only=True):
    """Instants carry the school's offset."""

    lesson_id: UUID
    class_title: str
    starts_at: datetime
    ends_at: datetime
    is_cancelled: bool


class StudentReport(msgspec.Struct, frozen=True, kw_only=True):
    """A reported absence that takes in today."""

    absence_report_id: UUID
    kind: Literal["absence", "leave"]
    starts_on: date
    ends_on: date
    state: Literal["pending", "accepted"]


class StudentDay(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
    family_name: str
    status: DayStatus
    lessons: list[StudentLesson]
    reports: list[StudentReport]


class OfficeFacts(msgspec.Struct, frozen=True, kw_only=True):
    people: People
    attendance: Attendance
    lessons: list[LessonsAt]
    unreached: Unreached
    pending: OpenReports


class SchoolDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a day is at a school, for everybody there."""

    day: date
    time_zone: str
    name: DayName | None
    turn: str | None
    grade_days: list[GradeDayName]


class Facts(SchoolDay, frozen=True, kw_only=True):
    """What is known of a day, for one caller: it stays true until something is told, whatever the clock says."""

    office: OfficeFacts | None = None
    taught: list[LessonTaught] | None = None
    students: list[StudentDay] | None = None


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """What is not the caller's role's is null."""

    day: date
    """The day that it is at the school."""
    time_zone: str
    holiday: str | None
    """What the calendar calls it; there are no lessons then, but of grades that have a day of their own."""
    special_day: str | None
    turn: str | None
    """Whose turn it is where weeks or days take turns."""
    grade_days: list[GradeDayName]
    """The grades that have another day than the school's."""
    office: OfficeDay | None = None
    """For a school admin."""
    lessons: list[OwnLesson] | None = None
    """For a teacher: their own, those that lack a register or marks first."""
    students: list[StudentDay] | None = None
    """For a guardian, each child; for a student, themselves."""
    unread_messages: int | None = None
    """For a school admin and a teacher: announcements that they have received and not read."""
