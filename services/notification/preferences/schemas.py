"""What people want to be told where and when, and what their school insists on."""

from datetime import date, time
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from shared.text import pattern

Group = Literal["absences", "absence_reports", "registers", "announcements"]
Channel = Literal["in_app", "email"]
Frequency = Literal["at_once", "daily_digest", "never"]

EVERY_CHILD: Final = UUID(int=0)
"""Stands in the table for all children, and for what is about no child."""

ZONE: Final = pattern(r"^[A-Za-z0-9_+/-]+$(?!\n)", "Must be the name of a time zone, such as Europe/London.")
ZonedName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=ZONE)]
Hour = Annotated[int, msgspec.Meta(ge=0, le=23)]
Weekday = Annotated[int, msgspec.Meta(ge=1, le=7)]
LocalTime = Annotated[time, msgspec.Meta(tz=False)]


class QuietHours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No mails from `starts_at` until `ends_at`, on the next day when that is not later."""

    starts_at: LocalTime
    ends_at: LocalTime
    days: Annotated[list[Weekday], msgspec.Meta(min_length=1, max_length=7)]
    """The days on which the quiet begins: 1 is Monday, 7 is Sunday (ISO 8601)."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    student_id: UUID | None = None
    """For this child only; null for all children and for what is about none."""
    group: Group
    channel: Channel
    frequency: Frequency
    """In the app there is no digest: at once or never."""


class PreferencesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replaces all that was chosen before."""

    time_zone: ZonedName | None = None
    """An IANA name; null for the school's."""
    digest_hour: Hour | None = None
    """At which hour the daily digest comes; null for the school's."""
    quiet_hours: QuietHours | None = None
    choices: Annotated[list[Choice], msgspec.Meta(max_length=200)] = []


class EffectiveChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What is done: what the school insists on wins over what was chosen."""

    student_id: UUID | None
    group: Group
    channel: Channel
    frequency: Frequency
    is_mandatory: bool
    """Whether the school insists on it, at least by `least`."""
    least: Frequency
    """How seldom it may be: what is below is refused."""


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    time_zone: str | None
    digest_hour: int | None
    quiet_hours: QuietHours | None
    choices: list[Choice]
    effective_time_zone: str
    effective_digest_hour: int
    effective: list[EffectiveChoice]
    """For all children first, then for each."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a school insists on. Codes of invitations and passwords are always mailed at once."""

    at_once: Annotated[list[Group], msgspec.Meta(max_length=4)]
    """Groups of which everybody is told at once, in the app and by mail."""
    at_least_daily: Annotated[list[Group], msgspec.Meta(max_length=4)]
    """Groups of which everybody is told in the app, and by mail with the next digest at the latest."""
    digest_hour: Hour
    """At which hour digests come, unless somebody has chosen another; by the clock of their recipient."""
    alerts_break_quiet_hours: bool
    """Whether mails about unexplained absences are sent in quiet hours too."""


DEFAULT_POLICY: Final = Policy(at_once=["absences"], at_least_daily=[], digest_hour=17, alerts_break_quiet_hours=True)


class MailHours(msgspec.Struct, frozen=True, kw_only=True):
    """When one recipient wants mails. What is null is as the school has it."""

    recipient_id: UUID
    time_zone: str | None = None
    digest_hour: int | None = None
    quiet_starts_at: time | None = None
    quiet_ends_at: time | None = None
    quiet_days: list[int] | None = None

    @property
    def quiet_hours(self) -> QuietHours | None:
        if self.quiet_starts_at is None or self.quiet_ends_at is None or self.quiet_days is None:
            return None
        return QuietHours(starts_at=self.quiet_starts_at, ends_at=self.quiet_ends_at, days=self.quiet_days)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that was not yet tried, of those that the policy puts off: a digest, or an alert."""

    delivery_id: UUID
    recipient_id: UUID
    day: date | None
    """Of a digest, in the recipient's time zone."""


class SavedChoice(msgspec.Struct, frozen=True, kw_only=True):
    recipient_id: UUID
    student_id: UUID
    category_group: Group
    channel: Channel
    frequency: Frequency


class Child(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID


Choices = dict[tuple[UUID, Group, Channel], Frequency]
"""What one recipient has chosen: of a child or EVERY_CHILD."""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides how one recipient is told."""

    choices: Choices
    quiet_hours: QuietHours | None
    time_zone: str
    digest_hour: int
    policy: Policy


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """How one notice goes to one recipient."""

    in_app: bool
    email: Frequency
    is_urgent: bool
    """Whether its mail is sent in quiet hours too."""
