"""What guardians read. The given name only: a subject line is seen over many shoulders."""

from collections.abc import Sequence
from datetime import date

import msgspec

UNKNOWN_NAME = "Your child"


class Text(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    body: str


def absence_alert(name: str, day: date, lessons: Sequence[str]) -> Text:
    return Text(
        title=f"{name} was marked absent",
        body=(
            f"{name} was marked absent without explanation on {_written(day)}{_listed(lessons)}. "
            "If you know the reason, please tell the school."
        ),
    )


def absence_correction(name: str, day: date) -> Text:
    return Text(
        title=f"{name}: absence corrected",
        body=(
            f"The school has corrected its register: {name} is no longer marked absent without explanation "
            f"on {_written(day)}. You need not do anything."
        ),
    )


def _written(day: date) -> str:
    """Without figures for the month: 3/4 is another day elsewhere."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def _listed(lessons: Sequence[str]) -> str:
    return f" ({', '.join(lessons)})" if lessons else ""


def mail_body(text: Text, *, school_name: str, link: str) -> str:
    return f"{text.body}\n\n{link}\n\n{school_name}"
