"""Which passwords are good enough: long ones that are not among the first guesses (NIST SP 800-63B)."""

import unicodedata
from pathlib import Path
from typing import Final

from services.auth import emails
from shared.problems import FieldError, Invalid

MIN_LENGTH: Final = 8
MIN_LENGTH_PLATFORM_ADMIN: Final = 15
COMMON: Final = frozenset(Path(__file__).with_name("common.txt").read_text().split())


class WeakPassword(Invalid):
    slug, title = "weak-password", "Choose another password"


def require_strong(password: str, *, email: str, is_platform_admin: bool = False, pointer: str) -> None:
    """`email` in its normal form, `pointer` to the field that holds the password. Raises WeakPassword."""
    if weakness := _weakness(password, email=email, is_platform_admin=is_platform_admin):
        raise WeakPassword(weakness, errors=[FieldError(pointer, weakness)])


def _weakness(password: str, *, email: str, is_platform_admin: bool) -> str:
    needed = MIN_LENGTH_PLATFORM_ADMIN if is_platform_admin else MIN_LENGTH
    if len(password) < needed:
        return f"At least {needed} characters are needed here."
    plain = unicodedata.normalize("NFC", password).casefold()
    if plain in COMMON or len(set(plain)) == 1:
        return "This is one of the first passwords that anybody tries."
    if emails.normalised(password) in {email, email.partition("@")[0]}:
        return "The password must not be the e-mail address."
    return ""


def require_other(current: str, new: str) -> None:
    """Raises WeakPassword for the password that was to be replaced."""
    if current == new:
        told = "This is the password that you have."
        raise WeakPassword(told, errors=[FieldError("/new_password", told)])
