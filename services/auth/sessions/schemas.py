"""Signing in, and staying so."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from services.auth.codes import Code
from services.auth.emails import Email

GivenPassword = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Email
    password: GivenPassword


class Refresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    refresh_token: Code


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    membership_id: UUID


class MembershipChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the schools and roles that a login may choose from."""

    membership_id: UUID
    school_id: UUID
    school_name: str
    role: str


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 (RFC 6750)
    expires_in: int
    """Seconds."""
    membership_id: UUID | None
    """Which membership the token is for; none for a platform admin."""


class SignedIn(AccessToken, frozen=True, kw_only=True):
    refresh_token: str
    """Good for one refresh; the answer holds the next one."""
    memberships: list[MembershipChoice]
    must_change_password: bool
    """Then the token opens nothing but the change of the password."""


class CurrentSchool(msgspec.Struct, frozen=True, kw_only=True):
    school_id: UUID
    name: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UUID
    email: str
    name: str
    role: str
    membership_id: UUID | None
    person_id: UUID | None
    school: CurrentSchool | None
    memberships: list[MembershipChoice]
    must_change_password: bool


class Session(msgspec.Struct, frozen=True, kw_only=True):
    session_id: UUID
    user_id: UUID
    membership_id: UUID | None
    generation: int
    sealed_token: str
    used_at: datetime
    revoked_at: datetime | None


class PresentedToken(Session, frozen=True, kw_only=True):
    """A session, found by one of the refresh tokens that it ever had."""

    presented_generation: int
