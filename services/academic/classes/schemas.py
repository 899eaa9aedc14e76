"""Courses, and the classes that meet for them."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.text import LINE, TRIMMED

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=LINE)]
Period = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=LINE)]
Grade = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=TRIMMED)]
Grades = Annotated[list[Grade], msgspec.Meta(max_length=50)]
ClassKind = Literal["scheduled", "homeroom"]


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
    grades: list[str]
    """The year groups that the class is for: it has their days off and their bells, where they have their own."""
    is_active: bool
    version: int


class NewClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Text
    kind: ClassKind = "scheduled"
    course_id: UUID | None = None
    periods: Annotated[list[Period], msgspec.Meta(max_length=20)] = []
    room: Text | None = None
    academic_session_ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=20)]
    grades: Grades = []


class ClassChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Annotated[int, msgspec.Meta(ge=1)]
    """The version of the class that is changed."""
    grades: Grades
    """All of them; empty for a class of any grade."""


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
    grades: tuple[str, ...] = ()
    """Empty where the other system says nothing of them: those that the class has stay then."""
