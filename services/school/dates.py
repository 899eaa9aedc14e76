"""Lists by date: which dates are wanted, and where a page of them ends."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Protocol, TypeVar

import msgspec
from litestar.params import QueryParameter

from shared.pages import Page, decode_cursor, page

FirstDay = Annotated[date | None, QueryParameter(name="from", description="The first day, included.")]
LastDay = Annotated[date | None, QueryParameter(name="to", description="The last day, included.")]


class Dated(Protocol):
    @property
    def day(self) -> date: ...


T = TypeVar("T", bound=Dated)


class DayKey(msgspec.Struct, frozen=True):
    """Where a page ends."""

    day: date


class Dates(msgspec.Struct, frozen=True):
    """Those from `first` to `last` that come after `after`, so many at the most."""

    first: date | None
    last: date | None
    after: date
    limit: int

    def page(self, found: Sequence[T], *, path: str) -> Page[T]:
        """Of one more than `limit`."""
        filters = {"from": self.first, "to": self.last}
        return page(found, limit=self.limit, path=path, filters=filters, key=lambda each: DayKey(each.day))


def wanted_dates(first: date | None, last: date | None, limit: int, cursor: str | None) -> Dates:
    """Raises BadRequest for a cursor that we did not make."""
    after = decode_cursor(cursor, DayKey) or DayKey(date.min)
    return Dates(first, last, after.day, limit)
