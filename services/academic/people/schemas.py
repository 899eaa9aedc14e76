"""Students and teachers, as a school records them."""

from datetime import date
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared.text import LINE, pattern

ADDRESS: Final = pattern(r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$(?!\n)", "Must be an e-mail address.")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=LINE)]
FamilyName = Annotated[str, msgspec.Meta(max_length=100, pattern=LINE)]
"""May be empty: not everybody has one."""
Email = Annotated[str, msgspec.Meta(max_length=254, pattern=ADDRESS)]
Grade = Annotated[str, msgspec.Meta(max_length=20, pattern=LINE)]


class Student(msgspec.Struct, frozen=True, kw_only=True):
    """`email` and `birth_date` are null for those who need not know them."""

    id: UUID
    sourced_id: str | None
    given_name: str
    family_name: str
    preferred_name: str | None
    email: str | None
    grade: str | None
    birth_date: date | None
    is_active: bool
    version: int


class NewStudent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    given_name: Name
    family_name: FamilyName = ""
    preferred_name: Name | None = None
    email: Email | None = None
    grade: Grade | None = None
    birth_date: date | None = None


class StudentChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    version: Annotated[int, msgspec.Meta(ge=1)]
    given_name: Name | UnsetType = UNSET
    family_name: FamilyName | UnsetType = UNSET
    preferred_name: Name | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    grade: Grade | UnsetType | None = UNSET
    birth_date: date | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET


class GradeCount(msgspec.Struct, frozen=True, kw_only=True):
    """A year group as the roster names it, and how many active students are of it."""

    grade: str
    students: int


class Teacher(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    sourced_id: str | None
    given_name: str
    family_name: str
    email: str | None
    is_active: bool
    version: int


class NewTeacher(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    given_name: Name
    family_name: FamilyName = ""
    email: Email | None = None


class ImportedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A student or teacher as another system records them, by its id."""

    sourced_id: str
    given_name: str
    family_name: str
    email: str | None
    grade: str | None = None


class SavedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """One row that an import added or changed."""

    id: UUID
    sourced_id: str | None
    given_name: str
    family_name: str
    email: str | None
    grade: str | None = None
    """Of students only."""
    is_active: bool
    version: int
