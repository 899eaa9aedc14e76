"""A login: one e-mail address and one password, at however many schools."""

from uuid import UUID

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UUID
    email: str
    email_normalised: str
    name: str
    password_hash: str
    must_change_password: bool
    is_platform_admin: bool
    is_active: bool
