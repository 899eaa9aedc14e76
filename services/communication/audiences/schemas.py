"""Whom an announcement is for: rules that are resolved when it goes out."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.text import LINE

Role = Literal["school_admin", "teacher", "guardian", "student"]
Grade = Annotated[str, msgspec.Meta(min_length=1, max_length=20, pattern=LINE)]
OfStudents = Annotated[list[Literal["student", "guardian"]], msgspec.Meta(min_length=1, max_length=2)]
OfClass = Annotated[list[Literal["student", "guardian", "teacher"]], msgspec.Meta(min_length=1, max_length=3)]


class SchoolRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="school", tag_field="kind"):
    """Everybody: students, guardians and staff."""


class RoleRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="role", tag_field="kind"):
    """Everybody of a role; `staff` are the teachers and those who run the school."""

    role: Literal["guardian", "student", "teacher", "staff"]


class GradeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="grade", tag_field="kind"):
    """The students of a year group, as the roster names it, and/or their guardians."""

    grade: Grade
    who: OfStudents


class ClassRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="class", tag_field="kind"):
    """Members of a class on the day of sending, and/or the guardians of its students."""

    class_id: UUID
    who: OfClass


class AbsentTodayRule(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag="absent_today",
    tag_field="kind",
):
    """Those who are absent on the day of sending, excused or not, and/or their guardians; of a class, or of all."""

    who: OfStudents
    class_id: UUID | None = None


class PersonRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="person", tag_field="kind"):
    """One student, guardian or teacher by their record, or a school admin by their login."""

    person_id: UUID


Rule = SchoolRule | RoleRule | GradeRule | ClassRule | AbsentTodayRule | PersonRule


class Audience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everybody whom any rule of `include` names, once.

    Who stands in `exclude` is left out. A student who does is left out with all that comes through them: guardians
    then hear of it for their other children only, or not at all.
    """

    include: Annotated[list[Rule], msgspec.Meta(min_length=1, max_length=200)]
    exclude: Annotated[list[UUID], msgspec.Meta(max_length=500)] = []


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf an audience is resolved: `teacher_id` limits it to the classes that they teach that day."""

    teacher_id: UUID | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of an audience come to together."""

    roles: frozenset[Role] = frozenset()
    student_grades: frozenset[str] = frozenset()
    guardian_grades: frozenset[str] = frozenset()
    student_classes: frozenset[UUID] = frozenset()
    guardian_classes: frozenset[UUID] = frozenset()
    teacher_classes: frozenset[UUID] = frozenset()
    absent_students: bool = False
    absent_guardians: bool = False
    absent_student_classes: frozenset[UUID] = frozenset()
    absent_guardian_classes: frozenset[UUID] = frozenset()
    person_ids: frozenset[UUID] = frozenset()


class RoleCount(msgspec.Struct, frozen=True, kw_only=True):
    role: Role
    recipients: int


class NamedRecipient(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    role: Role
    given_name: str
    """Empty, as the other, for a school admin: of them only the login is known."""
    family_name: str
    student_ids: list[UUID]
    """The children that a guardian hears of it for."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an audience would come to, were it resolved now."""

    recipients: int
    by_role: list[RoleCount]
    first: list[NamedRecipient]
    """The first of them, by role and name."""


class Id(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID


class RecipientKey(msgspec.Struct, frozen=True):
    """Where a page of recipients ends."""

    role: str
    family_name: str
    given_name: str
    recipient_id: UUID
