"""What is remembered of logins. Whether a session is over is not: that is asked on every request."""

from typing import Final

from shared.cache import Cached

ME: Final = Cached(
    cache="session", tables=frozenset({"account", "membership", "school"}), is_of_school=False, is_personal=True
)
"""A login has memberships at several schools, so what is written for one of them drops the answers of all."""

KINDS: Final = (ME,)
