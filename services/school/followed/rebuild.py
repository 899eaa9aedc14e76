"""Making the read models of a day anew while everything runs, out of what their owners have (ADR 0506).

Rows are written as events would write them, so readers see what was or what is, and an event that comes meanwhile wins
by its version. What is neither in the snapshots nor told of since the beginning is no more.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date, timedelta
from typing import Protocol, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from services.school.directory import queries as directory
from services.school.followed import forgetting
from services.school.followed.actions import follow
from services.school.schools import queries as schools
from services.school.settings import Settings
from shared import clock
from shared.contracts.snapshots import (
    AnnouncementKind,
    AnnouncementSnapshotRow,
    DeliverySnapshotRow,
    SnapshotKind,
    SnapshotRow,
)
from shared.database import Database
from shared.pages import Page

T = TypeVar("T")
Rows = Sequence[SnapshotRow] | Sequence[AnnouncementSnapshotRow] | Sequence[DeliverySnapshotRow]
PAGE = 200
SINCE_TODAY: tuple[SnapshotKind, ...] = ("students", "teachers", "classes", "guardian_links", "absence_reports")
OF_A_DAY: tuple[SnapshotKind, ...] = ("lessons", "registers", "attendance_days")
OF_ANNOUNCEMENTS: tuple[AnnouncementKind, ...] = ("announcements", "receipts")


class Owners(Protocol):
    """`shared.clients.InternalClient`, as far as it is needed."""

    async def get(self, url: str, answer: type[T]) -> T: ...


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    school_id: UUID
    rows: int
    """Read from their owners."""
    lost: int
    """Forgotten, since their owners have them no more."""


async def school_ids(database: Database) -> AsyncGenerator[UUID]:
    after_id = UUID(int=0)
    while True:
        async with database.transaction() as tx:
            found = await directory.school_ids(tx, after_id=after_id, limit=PAGE)
        for each in found:
            yield each
        if len(found) < PAGE:
            return
        after_id = found[-1]


async def rebuild(database: Database, owners: Owners, settings: Settings, school_id: UUID) -> Rebuilt | None:
    """None for a school that is not here. Raises Unavailable when an owner does not answer; doing it again is safe."""
    async with database.transaction(school_id=school_id) as tx:
        since = await forgetting.database_time(tx)
        school = await schools.school(tx, school_id=school_id)
    if school is None:
        return None
    today = clock.school_day(clock.now(), school.time_zone)
    rows = 0
    async for found in snapshots(owners, settings, school_id, today):
        async with database.transaction(school_id=school_id) as tx:
            for row in found:
                await follow(tx, school_id, row.data, version=row.version, since=since)
        rows += len(found)
    async with database.transaction(school_id=school_id) as tx:
        lost = await forgetting.forget_lost(tx, school_id=school_id, since=since)
    return Rebuilt(school_id=school_id, rows=rows, lost=lost)


async def snapshots(owners: Owners, settings: Settings, school_id: UUID, today: date) -> AsyncGenerator[Rows]:
    """All that is kept of a school, page by page."""
    for kind, day in wanted(today):
        asked = {"school_id": school_id, "kind": kind, "day": day}
        async for found in pages(owners, settings.academic_url, asked, SnapshotRow):
            yield found
    for kind in OF_ANNOUNCEMENTS:
        asked = {"school_id": school_id, "kind": kind}
        async for found in pages(owners, settings.communication_url, asked, AnnouncementSnapshotRow):
            yield found
    for day in days_around(today):
        asked = {"school_id": school_id, "day": day}
        async for found in pages(owners, settings.notification_url, asked, DeliverySnapshotRow):
            yield found


def wanted(today: date) -> list[tuple[SnapshotKind, date]]:
    days = days_around(today)
    return [*((kind, today) for kind in SINCE_TODAY), *((kind, day) for kind in OF_A_DAY for day in days)]


def days_around(today: date) -> tuple[date, date, date]:
    """The days beside today are for who changes the time zone, and for midnight."""
    return today - timedelta(days=1), today, today + timedelta(days=1)


async def pages(
    owners: Owners, owner_url: str, asked: Mapping[str, object], row: type[T]
) -> AsyncGenerator[Sequence[T]]:
    path: str | None = f"/internal/snapshot?{urlencode({**asked, 'limit': PAGE})}"
    while path is not None:
        answer: Page[T] = await owners.get(f"{owner_url.rstrip('/')}{path}", Page[row])
        yield answer.items
        path = answer.next
