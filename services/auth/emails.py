"""Addresses as logins: compared in one normal form, written to in the form they were given in."""

import unicodedata
from typing import Annotated, Final

import msgspec

from shared.text import pattern

ADDRESS: Final = pattern(r"^\s*[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\s*$(?!\n)", "Must be an e-mail address.")

Email = Annotated[str, msgspec.Meta(max_length=254, pattern=ADDRESS)]


def normalised(email: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).casefold())
