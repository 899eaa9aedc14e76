"""One-time codes and refresh tokens: random, kept as hashes only."""

import hashlib
import secrets
from typing import Annotated, Final

import msgspec

from shared.problems import Invalid
from shared.text import pattern

CODE: Final = pattern(r"^[A-Za-z0-9_-]+$(?!\n)", "Must be a code, as it was given: letters, digits, _ and -.")

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=CODE)]


class CodeRefused(Invalid):
    """The same for every reason: the holder of a bad code learns nothing about it."""

    slug, title = "code-refused", "This code is not valid: unknown, used or expired"


def new_code() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def hash_code(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
