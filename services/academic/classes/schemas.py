"""Courses, the classes that meet for them, and who belongs to a class from when to when."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import msgspec

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Period = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")]
ClassKind = Literal["scheduled", "homeroom"]
MemberRole = Literal["student", "teacher"]


class Course(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    sourced_id: str | None
    title: str
    code: str | None


class SchoolClass(msgspec.Struct, frozen=True, kw_only=True):
    """A class; it meets in each of `periods` on each school day of its terms."""

    id: UUID
    sourced_id: str | None
    title: str
    kind: ClassKind
    course_id: UUID | None
    periods: list[str]
    room: str | None
    academic_session_ids: list[UUID]
    is_active: bool
    version: int


class NewClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Text
    kind: ClassKind = "scheduled"
    course_id: UUID | None = None
    periods: Annotated[list[Period], msgspec.Meta(max_length=20)] = []
    room: Text | None = None
    academic_session_ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=20)]


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A spell of one person in one class, both days included; it is ended, never deleted."""

    id: UUID
    class_id: UUID
    role: MemberRole
    person_id: UUID
    given_name: str
    family_name: str
    is_primary: bool
    starts_on: date
    ends_on: date | None


class NewEnrolment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    class_id: UUID
    role: MemberRole
    person_id: UUID
    is_primary: bool = False
    starts_on: date
    ends_on: date | None = None


class EnrolmentEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ends_on: date
    """The last day in the class, included."""


class ImportedCourse(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    title: str
    code: str | None


class ImportedClass(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    title: str
    kind: ClassKind
    course_sourced_id: str | None
    periods: tuple[str, ...]
    room: str | None
    term_sourced_ids: tuple[str, ...]


class ImportedEnrolment(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    class_sourced_id: str
    person_sourced_id: str
    role: MemberRole
    is_primary: bool
    starts_on: date
    ends_on: date | None
