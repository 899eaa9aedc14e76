"""Letting people in: a mail with a code, good once."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from services.auth.codes import Code
from services.auth.emails import Email
from services.auth.roster.schemas import PersonRole
from services.auth.sessions.schemas import GivenPassword
from shared.text import LINE

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=LINE)]
InviteState = Literal["pending", "accepted", "expired"]
SkipReason = Literal["unknown", "inactive", "no_email", "has_login", "invited"]


class AdminInvite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    school_id: UUID
    email: Email
    name: Name


class BulkInvite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`person_ids` left out: everybody active of that role who has no login here yet."""

    role: PersonRole
    person_ids: Annotated[list[UUID], msgspec.Meta(max_length=5000)] | None = None


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    person_id: UUID
    reason: SkipReason


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    issued: int
    skipped: list[Skipped]


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`password`: the one of the login with the invited address, or a new one where there is no login yet.

    Left out, the answer tells which of the two is needed.
    """

    code: Code
    password: GivenPassword | None = None


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    role: str
    person_id: UUID | None
    name: str
    email: str
    state: InviteState
    created_at: datetime
    expires_at: datetime


class OpenInvite(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder of a code may read."""

    school_id: UUID
    invite_id: UUID
    role: str
    person_id: UUID | None
    name: str
    email: str
    email_normalised: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who might be invited, and why not."""

    person_id: UUID
    name: str
    email: str | None
    email_normalised: str | None
    reason: SkipReason | None


class NewInvite(msgspec.Struct, frozen=True, kw_only=True):
    """An invite on its way into the table; `code` goes into the mail and nowhere else."""

    invite_id: UUID
    role: str
    person_id: UUID | None
    name: str
    email: str
    email_normalised: str
    code: str
    created_at: datetime
    expires_at: datetime


class SavedInvite(msgspec.Struct, frozen=True, kw_only=True):
    invite_id: UUID
    code_hash: str
    version: int
