"""A school and its settings."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared.text import LINE, pattern

SchoolName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=LINE)]
TimeZone = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=LINE, description="An IANA name.")]
GracePeriod = Annotated[int, msgspec.Meta(ge=0, le=240)]
RegisterMinutes = Annotated[int, msgspec.Meta(ge=0, le=480)]
LocaleTag = Annotated[
    str,
    msgspec.Meta(
        max_length=35,
        pattern=pattern(r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$(?!\n)", "Must be a tag of a language, such as de-DE."),
        description="A BCP 47 tag, such as de-DE.",
    ),
]
Colour = Annotated[
    str,
    msgspec.Meta(
        min_length=7,
        max_length=7,
        pattern=pattern(r"^#[0-9A-Fa-f]{6}$(?!\n)", "Must be a colour, such as #00539f."),
        description="`#rrggbb`.",
    ),
]
LogoUrl = Annotated[str, msgspec.Meta(min_length=1, max_length=500, description="An https URL.")]


class School(msgspec.Struct, frozen=True, kw_only=True):
    school_id: UUID
    district_id: UUID
    sourced_id: str
    name: str
    time_zone: str
    """An IANA name; it decides what `today` is."""
    grace_period_minutes: int
    """How long after an absence was marked its alert waits for a correction."""
    register_reminder_minutes: int
    """How long after a lesson began its teacher is reminded of a register that is missing; 0 never."""
    register_escalation_minutes: int
    """How long after a lesson began the office hears of it; 0 never."""
    locale: str
    """A BCP 47 tag; it decides how dates, times and lists are written."""
    brand_colour: str | None
    """`#rrggbb`, to be read on white; none leaves it to the front end."""
    logo_url: str | None
    """Where browsers find the logo; https."""
    version: int
    """Counts the changes of the fields above."""
    calendar_version: int
    """Counts the changes of sessions, bell schedule and calendar days, together."""


class SchoolChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    name: SchoolName | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    grace_period_minutes: GracePeriod | UnsetType = UNSET
    register_reminder_minutes: RegisterMinutes | UnsetType = UNSET
    register_escalation_minutes: RegisterMinutes | UnsetType = UNSET
    """Longer than the reminder, unless one of them is 0."""
    locale: LocaleTag | UnsetType = UNSET
    brand_colour: Colour | UnsetType | None = UNSET
    """At least 3:1 against white (WCAG 2.1)."""
    logo_url: LogoUrl | UnsetType | None = UNSET
    """Without user name and password."""
