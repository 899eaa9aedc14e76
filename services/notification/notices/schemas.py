"""What is to be told, and to whom."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from services.notification.inbox.schemas import Category
from services.notification.wording import Text

RecipientRole = Literal["school_admin", "teacher", "guardian", "student"]


class Addressee(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    """The school record; the login of who has none, such as a school admin."""
    role: RecipientRole
    student_ids: list[UUID] = []
    """The children that a guardian hears of it for; for nobody else."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that some people are told, each once: `idempotency_key` and `category` say what is the same."""

    category: Category
    idempotency_key: str
    subject_id: UUID | None = None
    """What it tells of, by which it can be withdrawn and changed."""
    edition: int | None = None
    """Of what is told anew now and then: who was told a later one is mailed no earlier one."""
    text: Text
    mail_text: str | None = None
    """What the mail says when it is more than what stands in the app."""
    deep_link: str
    """A path of the front end."""
    day: date | None = None
    """The school day that it is about."""
    expires_at: datetime | None = None
    """From then on it is neither listed nor sent."""
    is_emergency: bool = False
    """Whether it is told at once, whatever people have chosen."""
    traceparent: str | None
    addressees: list[Addressee]
