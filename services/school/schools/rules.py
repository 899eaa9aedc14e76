"""What a school's settings may be."""

import re
from math import floor
from typing import Final
from urllib.parse import urlsplit

from babel import Locale, UnknownLocaleError
from msgspec import UNSET, structs

from services.school.schools.schemas import School, SchoolChange
from shared import clock
from shared.contracts.school import SchoolChanged
from shared.problems import FieldError, Invalid, PreconditionFailed

LEAST_CONTRAST: Final = 3.0
"""What WCAG 2.1 (1.4.11) asks of what is not text, and of large text (1.4.3)."""
URL_LETTERS: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
"""All that RFC 3986 knows: browsers read others, such as a backslash, as they see fit."""


class UnknownTimeZone(Invalid):
    slug = "unknown-time-zone"
    title = "There is no such time zone"


class UnknownLocale(Invalid):
    slug = "unknown-locale"
    title = "There is no such locale"


class PaleColour(Invalid):
    slug = "pale-colour"
    title = "The brand colour is too pale to be seen on white"


class UnusableLogo(Invalid):
    slug = "unusable-logo"
    title = "Browsers could not fetch the logo safely"


class OfficeBeforeTeacher(Invalid):
    slug = "office-before-teacher"
    title = "The office would hear of a missing register before its teacher"


class StaleSchool(PreconditionFailed):
    slug = "stale-school"
    title = "The school was changed by somebody else"


def changed(before: School, change: SchoolChange) -> School:
    """The school with the change made, its version counted up only if it differs.

    Raises StaleSchool, UnknownTimeZone, UnknownLocale, OfficeBeforeTeacher, PaleColour, UnusableLogo.
    """
    if change.version != before.version:
        raise StaleSchool(f"The school is at version {before.version}.")
    wanted = {name: _usable(name, value) for name, value in structs.asdict(change).items() if value is not UNSET}
    if not clock.is_time_zone(str(wanted.get("time_zone", before.time_zone))):
        raise UnknownTimeZone(errors=[FieldError("/time_zone", "Use an IANA name, such as America/New_York.")])
    after = structs.replace(before, **wanted)
    require_steps(after.register_reminder_minutes, after.register_escalation_minutes)
    return after if after == before else structs.replace(after, version=before.version + 1)


def _usable(name: str, value: object) -> object:
    """As it is kept. What stays as it is is not judged again: a name must not hang on what we know of locales."""
    match name, value:
        case "locale", str(tag):
            return canonical_locale(tag)
        case "brand_colour", str(colour):
            return seen_on_white(colour)
        case "logo_url", str(url):
            return fetched_safely(url)
        case _:
            return value


def canonical_locale(tag: str) -> str:
    """The tag as BCP 47 writes it: `de_de` is `de-DE`. Raises UnknownLocale."""
    try:
        known = Locale.parse(tag.replace("_", "-"), sep="-")
    except (UnknownLocaleError, ValueError):
        known = None
    # Babel takes "undetermined" for American English.
    if known is None or tag.lower().startswith("und"):
        raise UnknownLocale(errors=[FieldError("/locale", "Use a language and a country, such as de-DE or en-US.")])
    variant = known.variant.lower() if known.variant else None
    return "-".join(filter(None, (known.language, known.script, known.territory, variant)))


def seen_on_white(colour: str) -> str:
    """In lower case. Raises PaleColour."""
    if (contrast := contrast_with_white(colour)) < LEAST_CONTRAST:
        # Rounded down: what lacks a thousandth would read as enough.
        found = floor(contrast * 100) / 100
        detail = f"{found}:1 against white, and {LEAST_CONTRAST:.0f}:1 is the least. Use a darker one."
        raise PaleColour(detail, errors=[FieldError("/brand_colour", detail)])
    return colour.lower()


def contrast_with_white(colour: str) -> float:
    """The contrast ratio of WCAG 2.1, from 1 for white to 21 for black."""
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4


def fetched_safely(url: str) -> str:
    """Raises UnusableLogo: everybody's browser asks this address."""
    if not _is_url(url):
        raise _unusable_logo("Not a URL.")
    if not url.startswith("https://"):
        raise _unusable_logo("Use an address that begins with https://.")
    if "@" in urlsplit(url).netloc:
        raise _unusable_logo("Use an address without user name and password.")
    return url


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(URL_LETTERS.fullmatch(text) and parts.hostname and parts.port != 0)
    except ValueError:
        return False


def _unusable_logo(detail: str) -> UnusableLogo:
    return UnusableLogo(detail, errors=[FieldError("/logo_url", detail)])


def require_steps(reminder_minutes: int, escalation_minutes: int) -> None:
    """Raises OfficeBeforeTeacher; a step that is never taken comes before or after nothing."""
    if reminder_minutes and escalation_minutes and reminder_minutes >= escalation_minutes:
        detail = f"More than the {reminder_minutes} minutes after which its teacher is reminded, or 0 for never."
        raise OfficeBeforeTeacher(detail, errors=[FieldError("/register_escalation_minutes", detail)])


def renamed(before: School, name: str) -> School:
    return before if before.name == name else structs.replace(before, name=name, version=before.version + 1)


def as_event(school: School) -> SchoolChanged:
    return SchoolChanged(
        school_id=school.school_id,
        district_id=school.district_id,
        name=school.name,
        time_zone=school.time_zone,
        grace_period_minutes=school.grace_period_minutes,
        register_reminder_minutes=school.register_reminder_minutes,
        register_escalation_minutes=school.register_escalation_minutes,
        locale=school.locale,
        brand_colour=school.brand_colour,
        logo_url=school.logo_url,
    )
