"""Guardians, and what each may see and hear of each child."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from services.academic.people.schemas import Email, FamilyName, Name
from shared.text import LINE, pattern

PHONE: Final = pattern(r"^[0-9+() ./-]*$(?!\n)", "Must be a phone number: digits, spaces and any of + ( ) . / -.")

Relation = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=LINE)]
Priority = Annotated[int, msgspec.Meta(ge=1, le=20)]
Phone = Annotated[str, msgspec.Meta(max_length=30, pattern=PHONE)]


class Guardian(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    given_name: str
    family_name: str
    email: str | None
    phone: str | None
    is_active: bool
    version: int


class NewGuardian(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    given_name: Name
    family_name: FamilyName = ""
    email: Email | None = None
    phone: Phone | None = None


class GuardianChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    version: Annotated[int, msgspec.Meta(ge=1)]
    given_name: Name | UnsetType = UNSET
    family_name: FamilyName | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET


class GuardianLink(msgspec.Struct, frozen=True, kw_only=True):
    """What one guardian may see and hear of one child, on the days from `starts_on` to `ends_on`, both included."""

    id: UUID
    guardian_id: UUID
    student_id: UUID
    relation: str
    may_see: bool
    receives_alerts: bool
    priority: int
    starts_on: date | None
    ends_on: date | None
    is_active: bool
    version: int


class NewGuardianLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    guardian_id: UUID
    student_id: UUID
    relation: Relation
    may_see: bool = True
    receives_alerts: bool = True
    priority: Priority = 1
    """1 is called first."""
    starts_on: date | None = None
    ends_on: date | None = None


class GuardianLinkChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    version: Annotated[int, msgspec.Meta(ge=1)]
    relation: Relation | UnsetType = UNSET
    may_see: bool | UnsetType = UNSET
    receives_alerts: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    starts_on: date | UnsetType | None = UNSET
    ends_on: date | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET


class GuardianLinkState(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a link's history."""

    version: int
    changed_at: datetime
    changed_by: UUID
    relation: str
    may_see: bool
    receives_alerts: bool
    priority: int
    starts_on: date | None
    ends_on: date | None
    is_active: bool


class GuardianOfStudent(msgspec.Struct, frozen=True, kw_only=True):
    """A guardian as those see them who may see the child; `email` and `phone` are for the office and teachers."""

    guardian_id: UUID
    guardian_link_id: UUID
    given_name: str
    family_name: str
    email: str | None
    phone: str | None
    relation: str
    may_see: bool
    receives_alerts: bool
    priority: int
    starts_on: date | None
    ends_on: date | None


class LinkTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a line of a CSV says of a link. What it leaves out it does not say."""

    relation: Relation
    may_see: bool | UnsetType = UNSET
    receives_alerts: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    starts_on: date | UnsetType = UNSET
    ends_on: date | UnsetType = UNSET


class LinkRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a CSV of guardians, read and checked."""

    line: int
    student_sourced_id: str
    guardian: NewGuardian
    terms: LinkTerms


class PlannedLink(msgspec.Struct, frozen=True, kw_only=True):
    """What a line makes of the link of one guardian and one child; `before` is what is there."""

    line: int
    guardian: Guardian
    before: GuardianLink | None
    link: GuardianLink


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a CSV would change."""

    guardians: Sequence[PlannedLink]
    """The first line of each new guardian."""
    added: Sequence[PlannedLink]
    changed: Sequence[PlannedLink]
    unchanged: Sequence[PlannedLink]


class CsvResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a CSV changed, or would have."""

    dry_run: bool
    guardians_created: int
    links_created: int
    links_changed: int
    links_unchanged: int
