"""Who may do what here; what is one's own follows from the token."""

from collections.abc import Mapping
from typing import Final

from shared.identity import Role

PASSWORD_CHANGE_ONLY: Final = "password_change_only"  # noqa: S105 (a role)
"""The role in the tokens of who must first choose a new password: no other service knows it."""

RESTRICTED = frozenset({"session.own", "password.change"})
EVERYBODY = RESTRICTED | {"session.switch"}

PERMISSIONS: Mapping[str, frozenset[str]] = {
    Role.PLATFORM_ADMIN: EVERYBODY | {"admin.invite"},
    Role.SCHOOL_ADMIN: EVERYBODY | {"invite.manage"},
    Role.TEACHER: EVERYBODY,
    Role.STUDENT: EVERYBODY,
    Role.GUARDIAN: EVERYBODY,
    PASSWORD_CHANGE_ONLY: RESTRICTED,
}
