"""What `auth` tells the others."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class InviteIssued(msgspec.Struct, frozen=True, kw_only=True, tag="auth.invite_issued.v1", tag_field="type"):
    """A person may come in: `notification` writes to them. The code is sealed, only `notification` can open it."""

    invite_id: UUID
    email: str
    name: str
    role: str
    school_id: UUID
    school_name: str
    sealed_code: str
    """A Fernet token (SEAL_KEY) around the one-time code."""
    expires_at: Instant


class PasswordResetRequested(
    msgspec.Struct, frozen=True, kw_only=True, tag="auth.password_reset_requested.v1", tag_field="type"
):
    """Somebody wants a new password: `notification` writes to the address, whoever asked."""

    reset_id: UUID
    email: str
    sealed_code: str
    """A Fernet token (SEAL_KEY) around the one-time code."""
    expires_at: Instant


class MembershipChanged(msgspec.Struct, frozen=True, kw_only=True, tag="auth.membership_changed.v1", tag_field="type"):
    """A login has a role at a school, or has it no more. `notification` learns from it who reads which inbox."""

    membership_id: UUID
    user_id: UUID
    role: str
    person_id: UUID | None = None
    """The school record (teacher, guardian, student) behind the login; none for a school admin."""
    email: str | None = None
    """Of a login without a school record, which would have it."""
    is_active: bool


AuthEvent = InviteIssued | PasswordResetRequested | MembershipChanged
