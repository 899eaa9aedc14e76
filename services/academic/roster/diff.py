"""What an import would change, and whether that is too much to happen by accident."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Generic, TypeVar

import msgspec

from shared.problems import Problem

MAX_VANISHED_PERCENT = 5
MIN_VANISHED = 2
"""One person leaves even the smallest school without a question."""

T = TypeVar("T")


class Changes(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """By sourced id; `gone` holds what is present and no longer wanted."""

    new: dict[str, T]
    changed: dict[str, T]
    unchanged: dict[str, T]
    gone: dict[str, T]

    @property
    def counts(self) -> dict[str, int]:
        return {
            "new": len(self.new),
            "changed": len(self.changed),
            "unchanged": len(self.unchanged),
            "gone": len(self.gone),
        }


def diff(wanted: Mapping[str, T], present: Mapping[str, T]) -> Changes[T]:
    """Compares by equality; `changed` holds the wanted state."""
    shared = wanted.keys() & present.keys()
    return Changes(
        new={key: item for key, item in wanted.items() if key not in shared},
        changed={key: item for key, item in wanted.items() if key in shared and item != present[key]},
        unchanged={key: item for key, item in wanted.items() if key in shared and item == present[key]},
        gone={key: item for key, item in present.items() if key not in shared},
    )


class Departures(msgspec.Struct, frozen=True, kw_only=True):
    """How many active students and teachers a school has now, and how many of them would no longer be active."""

    school_sourced_id: str
    school_name: str
    present_people: int
    gone_people: int


class TooManyVanished(Problem):
    status: ClassVar[int] = 409
    slug: ClassVar[str] = "too-many-vanished"
    title: ClassVar[str] = "The import would remove too many people"

    def __init__(self, schools: Iterable[Departures]) -> None:
        listed = list(schools)
        people = sum(school.gone_people for school in listed)
        super().__init__(
            f"{people} people of {len(listed)} schools would no longer be active. If they have left, confirm this.",
            schools=listed,
            max_vanished_percent=MAX_VANISHED_PERCENT,
        )


def vanished(present_people: int, gone_people: int) -> bool:
    """Whether so many active people of one school would be gone that somebody must say it is meant."""
    return gone_people >= MIN_VANISHED and gone_people * 100 > present_people * MAX_VANISHED_PERCENT


def check_blast_radius(schools: Iterable[Departures], *, is_confirmed: bool) -> None:
    """Each school for itself: a small one may not vanish unnoticed in a large district. Raises TooManyVanished."""
    emptied = [school for school in schools if vanished(school.present_people, school.gone_people)]
    if emptied and not is_confirmed:
        raise TooManyVanished(emptied)
