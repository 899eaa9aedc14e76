"""What text may hold, for `msgspec.Meta(pattern=…)`, and what is said to whoever sends something else."""

from typing import Final

_IN_WORDS: Final[dict[str, str]] = {}


def pattern(expression: str, words: str) -> str:
    """The expression. Whoever sends what it does not match is told `words`, as expressions are for machines to read."""
    _IN_WORDS[f"Expected `str` matching regex {expression!r}"] = words
    return expression


def in_words(message: str) -> str:
    """What msgspec says, or what is said in its place of a pattern."""
    return _IN_WORDS.get(message, message)


LINE: Final = pattern(r"^[^\x00-\x1f\x7f]*$(?!\n)", "Must be one line, without control characters.")
"""One line, without control characters.

For Python `$` alone is also right before a newline at the end: with one, the name of a school would break the header of
every mail. In JavaScript, of which OpenAPI's patterns are, what follows it says nothing.
"""
TRIMMED: Final = pattern(
    r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$(?!\n)",
    "Must be one line, without spaces around it.",
)
"""A line without spaces around it, for what is compared."""
