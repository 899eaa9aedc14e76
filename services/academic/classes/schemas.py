"""Courses, and the classes that meet for them."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.text import LINE

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=LINE)]
Period = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=LINE)]
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
    is_active: bool
    version: int


class NewClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Text
    kind: ClassKind = "scheduled"
    course_id: UUID | None = None
    periods: Annotated[list[Period], msgspec.Meta(max_length=20)] = []
    room: Text | None = None
    academic_session_ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=20)]


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
