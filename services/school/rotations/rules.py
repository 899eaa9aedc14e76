"""Whose turn it is, and what rings then."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby, pairwise
from typing import Final

import msgspec

from services.school.rotations.schemas import Rotation, Turn
from shared.contracts.school import AcademicSession, BellPeriod, DayPeriod
from shared.problems import FieldError, Invalid

MAX_DAYS: Final = 1000
"""So many school days of a rotation are told, four years and more; then it is to be begun anew."""


class InvalidRotation(Invalid):
    slug = "invalid-rotation"
    title = "The turns cannot be as they are asked for"


class Placed(msgspec.Struct, frozen=True):
    """A bell of one weekday; `pointer` says where it was asked for, and is empty for the bell schedule."""

    pointer: str
    bell: BellPeriod


def require_rotation(asked: Rotation, week: Sequence[BellPeriod]) -> Rotation:
    """As it is to be kept. Raises InvalidRotation, naming all that is wrong."""
    errors = [*_twice_named(asked), *_ending_early(asked), *_on_other_days(asked)]
    if not errors:
        errors = clashes(asked, week)
    if errors:
        raise InvalidRotation(errors=errors)
    return msgspec.structs.replace(asked, weekdays=sorted(set(asked.weekdays)))


def _twice_named(asked: Rotation) -> Iterator[FieldError]:
    names = [turn.name for turn in asked.turns]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield FieldError(f"/turns/{index}/name", f"There is a turn {name} already.")


def _ending_early(asked: Rotation) -> Iterator[FieldError]:
    for index, turn in enumerate(asked.turns):
        for place, each in enumerate(turn.periods):
            if each.ends_at <= each.starts_at:
                yield FieldError(f"/turns/{index}/periods/{place}/ends_at", "Must be later than it starts.")


def _on_other_days(asked: Rotation) -> Iterator[FieldError]:
    for index, turn in enumerate(asked.turns):
        for place, each in enumerate(turn.periods):
            if each.weekday is not None and each.weekday not in asked.weekdays:
                yield FieldError(f"/turns/{index}/periods/{place}/weekday", "The school does not meet then.")


def clashes(rotation: Rotation, week: Sequence[BellPeriod]) -> list[FieldError]:
    """Each period of a turn that overlaps another one of its day, or has its name; the bell schedule's among them."""
    found: dict[tuple[str, str], FieldError] = {}
    for index, turn in enumerate(rotation.turns):
        for weekday in rotation.weekdays:
            bells = _placed(index, turn, week, weekday)
            for error in (*_same_names(bells), *_overlapping(bells)):
                found.setdefault((error.pointer, error.detail), error)
    return list(found.values())


def _placed(index: int, turn: Turn, week: Sequence[BellPeriod], weekday: int) -> list[Placed]:
    """In order of time."""
    own = [
        Placed(f"/turns/{index}/periods/{place}", bell)
        for place, each in enumerate(turn.periods)
        if each.weekday in {None, weekday}
        for bell in [BellPeriod(period=each.period, weekday=weekday, starts_at=each.starts_at, ends_at=each.ends_at)]
    ]
    usual = [Placed("", bell) for bell in week if bell.weekday == weekday]
    return sorted([*usual, *own], key=lambda each: (each.bell.starts_at, each.pointer))


def _same_names(bells: Sequence[Placed]) -> Iterator[FieldError]:
    by_name = sorted(bells, key=lambda each: (each.bell.period, each.pointer))
    for name, same in groupby(by_name, key=lambda each: each.bell.period):
        for each in list(same)[1:]:
            yield FieldError(f"{each.pointer}/period", f"Period {name} is on a day twice.")


def _overlapping(bells: Sequence[Placed]) -> Iterator[FieldError]:
    for before, after in pairwise(bells):
        if after.bell.starts_at < before.bell.ends_at:
            wrong, other = (after, before) if after.pointer else (before, after)
            yield FieldError(f"{wrong.pointer}/starts_at", f"Overlaps period {other.bell.period}.")


def turns_of(rotation: Rotation, sessions: Sequence[AcademicSession], holidays: Iterable[date]) -> dict[date, str]:
    """Whose turn each school day is, in order: each day of a term, or of a year without terms, that is not off."""
    terms = [each for each in sessions if each.kind == "term"] or [
        each for each in sessions if each.kind == "school_year"
    ]
    off = frozenset(holidays)
    days = list(_days(rotation, terms))
    names = [turn.name for turn in rotation.turns]
    turns = _by_week(rotation, days, off) if rotation.kind == "weeks" else _by_day(rotation, days, off)
    held = ((day, names[number % len(names)]) for day, number in turns if day not in off)
    return {day: name for _, (day, name) in zip(range(MAX_DAYS), held, strict=False)}


def _days(rotation: Rotation, terms: Sequence[AcademicSession]) -> Iterator[date]:
    """On which there would be school, were it not for holidays."""
    days = {
        day
        for term in terms
        for count in range((term.ends_on - max(term.starts_on, rotation.starts_on)).days + 1)
        for day in [max(term.starts_on, rotation.starts_on) + timedelta(days=count)]
        if day.isoweekday() in rotation.weekdays
    }
    yield from sorted(days)


def _by_week(rotation: Rotation, days: Sequence[date], off: frozenset[date]) -> Iterator[tuple[date, int]]:
    first, number = _monday(rotation.starts_on), -1
    for monday, of_week in groupby(days, key=_monday):
        week = list(of_week)
        if not rotation.skips_days_off:
            number = (monday - first).days // 7
        elif any(day not in off for day in week):
            number += 1
        yield from ((day, number) for day in week)


def _by_day(rotation: Rotation, days: Sequence[date], off: frozenset[date]) -> Iterator[tuple[date, int]]:
    number = -1
    for day in days:
        number += day not in off or not rotation.skips_days_off
        yield day, number


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


class Bells(msgspec.Struct, frozen=True, kw_only=True):
    """What usually rings: the bells of each weekday, and those of the turns."""

    week: Sequence[BellPeriod]
    turns: Mapping[date, Turn]

    def on(self, day: date) -> list[DayPeriod]:
        weekday = day.isoweekday()
        usual = [
            DayPeriod(period=each.period, starts_at=each.starts_at, ends_at=each.ends_at)
            for each in self.week
            if each.weekday == weekday
        ]
        turn = self.turns.get(day)
        own = [
            DayPeriod(period=each.period, starts_at=each.starts_at, ends_at=each.ends_at)
            for each in (turn.periods if turn else ())
            if each.weekday in {None, weekday}
        ]
        return sorted([*usual, *own], key=lambda each: each.starts_at)
