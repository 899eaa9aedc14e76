"""Changing a password, and setting a forgotten one anew."""

from datetime import datetime
from uuid import UUID

import msgspec

from services.auth.codes import Code
from services.auth.emails import Email
from services.auth.sessions.schemas import GivenPassword


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    current_password: GivenPassword
    new_password: GivenPassword


class ResetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Email


class ResetConfirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code
    new_password: GivenPassword


class ResetTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every address."""

    message: str = "If there is a login with this address, a mail is on its way to it."


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    reset_id: UUID
    user_id: UUID
    code_hash: str
    expires_at: datetime


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A login for which a new password was asked."""

    user_id: UUID
    email: str
