"""What is remembered of a school, and the tables whose writing ends that; names are in a day only."""

from typing import Final

from shared.cache import Cached

SCHOOL: Final = Cached(cache="school", tables=frozenset({"school"}))
SESSIONS: Final = Cached(cache="school", tables=frozenset({"academic_session"}))
TURNS: Final = frozenset({"rotation", "academic_session", "calendar_day"})
"""Whose turn it is follows from terms and holidays."""
ROTATION: Final = Cached(cache="school", tables=frozenset({"rotation"}))
ROTATION_DAYS: Final = Cached(cache="school", tables=TURNS)
BELLS: Final = Cached(cache="school", tables=frozenset({"bell_period"}))
DAYS: Final = Cached(cache="school", tables=TURNS | {"calendar_day_period", "bell_period"})
"""The bells of a day with a late start follow from those of its weekday."""
GRADE_DAYS: Final = Cached(
    cache="school", tables=TURNS | {"grade_day", "grade_day_grade", "grade_day_period", "bell_period"}
)
ROOMS: Final = Cached(cache="school", tables=frozenset({"room"}))
SCHOOL_DAY: Final = Cached(cache="school", tables=TURNS | {"school", "grade_day", "grade_day_grade"})

TODAY: Final = Cached(
    cache="dashboard",
    tables=SCHOOL_DAY.tables
    | frozenset(
        {
            "today_student",
            "today_teacher",
            "today_class",
            "today_class_member",
            "today_guardian_link",
            "today_attendance_day",
            "today_absence_report",
            "today_plan",
            "today_lesson",
            "today_register",
            "today_delivery",
        }
    ),
    is_personal=True,
)

KINDS: Final = (SCHOOL, SESSIONS, BELLS, ROTATION, ROTATION_DAYS, DAYS, GRADE_DAYS, ROOMS, SCHOOL_DAY, TODAY)
