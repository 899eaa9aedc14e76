"""What people read, however it reaches them: texts and the small parts that they are made of.

Dates, times and lists are written as the country of the school's locale writes them, in the language of the sentences
around them: English, as it is used there (ADR 1201).
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_time, get_timezone_name
from babel.lists import format_list

from shared.contracts.school import DEFAULT_LOCALE

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


def written(day: date, locale: str) -> str:
    """Without figures for the month: 3/4 is another day elsewhere."""
    return format_date(day, "full", locale=_english_for(locale))


def written_span(starts_on: date, ends_on: date, locale: str) -> str:
    if starts_on == ends_on:
        return written(starts_on, locale)
    return f"{written(starts_on, locale)} to {written(ends_on, locale)}"


def written_time(instant: datetime, time_zone: str, locale: str) -> str:
    """By the clocks of the zone: `14:05`, or `2:05 PM`."""
    at = format_time(instant, "short", tzinfo=ZoneInfo(time_zone), locale=_english_for(locale))
    # The narrow space of newer locale data is a box in older mail programs.
    return at.replace("\u202f", " ")


def written_hour(instant: datetime, time_zone: str, locale: str) -> str:
    """With its weekday: `Mon 14:05`."""
    weekday = format_datetime(instant, "EEE", tzinfo=ZoneInfo(time_zone), locale=_english_for(locale))
    return f"{weekday} {written_time(instant, time_zone, locale)}"


def written_instant(instant: datetime, time_zone: str, locale: str) -> str:
    """For who may be anywhere: with the zone, as it is called on that day."""
    local = instant.astimezone(ZoneInfo(time_zone))
    zone = get_timezone_name(local, "short", locale=_english_for(locale))
    return f"{written(local.date(), locale)}, {written_time(instant, time_zone, locale)} {zone}"


def listed(names: Sequence[str], locale: str) -> str:
    """`Ada, Ben and Cleo`."""
    return format_list(names, locale=_english_for(locale))


@lru_cache(maxsize=1000)
def _english_for(tag: str) -> Locale:
    """English as it is written in the country of this locale; as of the default, where nobody says how."""
    try:
        known = Locale.parse(tag, sep="-")
        if known.language == "en" or known.territory:
            return Locale("en", known.territory)
    except (UnknownLocaleError, ValueError):
        pass
    return Locale.parse(DEFAULT_LOCALE, sep="-")
