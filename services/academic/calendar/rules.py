"""What a new calendar changes for days that are over or under way. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

from services.academic.calendar.schemas import Calendar, GradeDay, SpecialDay


def days_off_to_judge(before: Calendar, after: Calendar, *, today: date) -> Mapping[date, Sequence[str]]:
    """By day until `today`, the grades that are or were off on it, where the calendar says something else of the day.

    Only they can miss a lesson by leave of the calendar (ADR 0708); what a day is to the others decides what is held.
    """
    said_before, said_after = _said_of_days(before), _said_of_days(after)
    found: dict[date, Sequence[str]] = {}
    for day in sorted(said_before.keys() | said_after.keys()):
        said = [*said_before.get(day, ()), *said_after.get(day, ())]
        off = {each.grade for each in said if isinstance(each, GradeDay) and each.kind == "holiday"}
        if day <= today and off and said_before.get(day) != said_after.get(day):
            found[day] = sorted(off)
    return found


def _said_of_days(calendar: Calendar) -> Mapping[date, Sequence[SpecialDay]]:
    said: defaultdict[date, list[SpecialDay]] = defaultdict(list)
    for each in (*calendar.days, *calendar.grade_days):
        said[each.day].append(each)
    return said
