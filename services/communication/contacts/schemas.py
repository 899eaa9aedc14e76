"""Whom to write to about a student."""

from uuid import UUID

import msgspec


class GuardianContact(msgspec.Struct, frozen=True, kw_only=True):
    guardian_id: UUID
    name: str
    email: str | None
    relation: str
    priority: int
    """1 is called first."""


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
    family_name: str
    guardians: list[GuardianContact]
    """In order of priority."""


class StudentName(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    given_name: str
    family_name: str


class GuardianOfStudent(GuardianContact, frozen=True, kw_only=True):
    student_id: UUID


class NameKey(msgspec.Struct, frozen=True):
    """Where a page of contacts ends."""

    family_name: str
    given_name: str
    student_id: UUID
