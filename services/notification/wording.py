"""What people read, however it reaches them: texts and the small parts that they are made of."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

UNKNOWN_NAME: Final = "Your child"
LONGEST_TITLE: Final = 200


class Text(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    body: str


def shortened(text: str, longest: int) -> str:
    """The beginning of a text, up to the end of a word."""
    if len(text) <= longest:
        return text
    beginning = text[: longest - 1]
    return f"{beginning.rsplit(None, 1)[0] or beginning}…"


def written(day: date) -> str:
    """Without figures for the month: 3/4 is another day elsewhere."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def written_span(starts_on: date, ends_on: date) -> str:
    return written(starts_on) if starts_on == ends_on else f"{written(starts_on)} to {written(ends_on)}"


def listed(names: Sequence[str]) -> str:
    """`Ada, Ben and Cleo`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
