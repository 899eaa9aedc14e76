"""Who is told what, and in which words."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from services.notification.notices.schemas import Addressee
from services.notification.roster.schemas import Contact

UNKNOWN_NAME: Final = "Your child"


def merged(addressees: Iterable[Addressee]) -> list[Addressee]:
    """Each recipient once, for all their children; in the order of their ids."""
    children: dict[UUID, tuple[Addressee, dict[UUID, None]]] = {}
    for each in addressees:
        children.setdefault(each.recipient_id, (each, {}))[1].update(dict.fromkeys(each.student_ids))
    return [
        Addressee(recipient_id=recipient_id, role=first.role, student_ids=sorted(of))
        for recipient_id, (first, of) in sorted(children.items())
    ]


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


def is_mailed(addressee: Addressee, contact: Contact | None) -> bool:
    """Whether a mail is tried, or its failing put on record. Of guardians the office must know who cannot be reached;
    everybody else without an address reads it in the app.
    """
    return addressee.role == "guardian" or (contact is not None and contact.email is not None)
