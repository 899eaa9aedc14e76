"""Mails, as text. Nothing that a person may have typed can become a header of its own."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final
from uuid import UUID

from services.notification.deliveries.schemas import Attempt
from services.notification.roster.schemas import School
from services.notification.wording import written_instant
from shared.contracts.auth import InviteIssued, PasswordResetRequested
from shared.contracts.school import DEFAULT_LOCALE

ROLES = {
    "platform_admin": "an administrator of the platform",
    "school_admin": "an administrator",
    "teacher": "a teacher",
    "student": "a student",
    "guardian": "a guardian",
}

TO_MANY: Final = frozenset({"announcement", "digest"})


def compose(
    attempt: Attempt,
    *,
    mail_from: str,
    code: str | None,
    now: datetime,
    traceparent: str | None,
    preferences_url: str | None = None,
) -> EmailMessage:
    """The mail of one delivery; every attempt has the same Message-ID. What comes to many says where to stop it."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name=one_line(attempt.school_name), addr_spec=mail_from)
    # In two parts: as one, the library refuses letters outside ASCII, which some mail servers take.
    username, _, domain = attempt.address.rpartition("@")
    message["To"] = Address(display_name=one_line(attempt.recipient_name), username=username, domain=domain)
    message["Subject"] = one_line(attempt.subject)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(attempt.delivery_id)
    message["Auto-Submitted"] = "auto-generated"
    if preferences_url and attempt.category in TO_MANY:
        message["List-Unsubscribe"] = f"<{preferences_url}>"
    if traceparent:
        message["traceparent"] = traceparent
    message.set_content(attempt.body if code is None else f"{attempt.body}\n\nCode: {code}")
    return message


def message_id(delivery_id: UUID) -> str:
    return f"<{delivery_id}@homeroom>"


def one_line(text: str) -> str:
    """Without line breaks and other control characters: a name must not write headers."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def invite_subject(event: InviteIssued) -> str:
    return f"Your invitation to {event.school_name}"


def invite_body(event: InviteIssued, public_url: str, school: School) -> str:
    until = written_instant(event.expires_at, school.time_zone, school.locale)
    return (
        f"Hello {one_line(event.name)},\n\n"
        f"{one_line(event.school_name)} invites you to Homeroom as {ROLES.get(event.role, 'a member')}.\n"
        f"Use the code below, once, until {until}:\n\n"
        f"{public_url}/docs"
    )


def reset_body(event: PasswordResetRequested, public_url: str) -> str:
    """A login belongs to no school, so the time is by no school's clock."""
    until = written_instant(event.expires_at, "UTC", DEFAULT_LOCALE)
    return (
        "Somebody, hopefully you, asked for a new password.\n"
        f"Use the code below, once, until {until}. If it was not you, do nothing.\n\n"
        f"{public_url}/docs"
    )
