"""Who belongs to a class from when to when."""

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

MemberRole = Literal["student", "teacher"]


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


class ImportedEnrolment(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: str
    class_sourced_id: str
    person_sourced_id: str
    role: MemberRole
    is_primary: bool
    starts_on: date
    ends_on: date | None
