"""What ties a login to a school: a role, and the record of the person behind it."""

from uuid import UUID

import msgspec


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    membership_id: UUID
    school_id: UUID
    school_name: str
    role: str
    person_id: UUID | None


class SavedMembership(msgspec.Struct, frozen=True, kw_only=True):
    """One row that was added or changed."""

    membership_id: UUID
    user_id: UUID
    role: str
    person_id: UUID | None
    email: str | None
    """Of a login without a school record."""
    is_active: bool
    version: int
