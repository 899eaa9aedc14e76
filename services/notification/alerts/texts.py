"""What guardians read. The given name only: a subject line is seen over many shoulders."""

from collections.abc import Sequence
from datetime import date

from services.notification.wording import Text, written


def absence_alert(name: str, day: date, lessons: Sequence[str], locale: str) -> Text:
    return Text(
        title=f"{name} was marked absent",
        body=(
            f"{name} was marked absent without explanation on {written(day, locale)}{_listed(lessons)}. "
            "If you know the reason, please tell the school."
        ),
    )


def absence_correction(name: str, day: date, locale: str) -> Text:
    return Text(
        title=f"{name}: absence corrected",
        body=(
            f"The school has corrected its register: {name} is no longer marked absent without explanation "
            f"on {written(day, locale)}. You need not do anything."
        ),
    )


def absence_explained(name: str, day: date, locale: str) -> Text:
    """Nobody was wrong: the child was away, and somebody has said why."""
    return Text(
        title=f"{name}: absence explained",
        body=(
            f"{name}'s absence on {written(day, locale)} is no longer counted as unexplained. You need not do anything."
        ),
    )


def _listed(lessons: Sequence[str]) -> str:
    return f" ({', '.join(lessons)})" if lessons else ""
