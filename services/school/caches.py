"""What is remembered of a school, and the tables whose writing ends that. Nobody's name is in it."""

from typing import Final

from shared.cache import Cached

SCHOOL: Final = Cached(cache="school", tables=frozenset({"school"}))
SESSIONS: Final = Cached(cache="school", tables=frozenset({"academic_session"}))
BELLS: Final = Cached(cache="school", tables=frozenset({"bell_period"}))
DAYS: Final = Cached(cache="school", tables=frozenset({"calendar_day", "calendar_day_period", "bell_period"}))
"""The bells of a day with a late start follow from those of its weekday."""
ROOMS: Final = Cached(cache="school", tables=frozenset({"room"}))

KINDS: Final = (SCHOOL, SESSIONS, BELLS, DAYS, ROOMS)
