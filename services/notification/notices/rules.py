"""Who is told, and whether by mail too."""

from collections.abc import Iterable
from uuid import UUID

from services.notification.notices.schemas import Addressee
from services.notification.roster.schemas import Contact


def merged(addressees: Iterable[Addressee]) -> list[Addressee]:
    """Each recipient once, for all their children; in the order of their ids."""
    children: dict[UUID, tuple[Addressee, dict[UUID, None]]] = {}
    for each in addressees:
        children.setdefault(each.recipient_id, (each, {}))[1].update(dict.fromkeys(each.student_ids))
    return [
        Addressee(recipient_id=recipient_id, role=first.role, student_ids=sorted(of))
        for recipient_id, (first, of) in sorted(children.items())
    ]


def is_mailed(addressee: Addressee, contact: Contact | None) -> bool:
    """Whether a mail is tried, or its failing put on record. Of guardians the office must know who cannot be reached;
    everybody else without an address reads it in the app.
    """
    return addressee.role == "guardian" or (contact is not None and contact.email is not None)
