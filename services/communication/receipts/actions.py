"""Reading, and looking who has read."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from services.communication.announcements import attachments
from services.communication.announcements import queries as announcements
from services.communication.announcements.rules import author_of, is_own, require_own
from services.communication.announcements.schemas import AnnouncementRow
from services.communication.audiences import queries as audience_queries
from services.communication.audiences.rules import reach_of
from services.communication.audiences.schemas import RecipientKey
from services.communication.files import actions as files
from services.communication.files.schemas import Download
from services.communication.files.store import FileStore
from services.communication.receipts import queries
from services.communication.receipts.schemas import Receipt, Receipts, ReceivedAnnouncement
from services.communication.roster import queries as roster
from services.communication.settings import Settings
from shared import clock
from shared.contracts.communication import AnnouncementRead
from shared.database import Database, Reader, Tx
from shared.identity import Caller, Role
from shared.outbox import publish
from shared.problems import NotFound

STAFF: Final = frozenset({Role.SCHOOL_ADMIN, Role.TEACHER})


async def show(reader: Reader, caller: Caller, announcement_id: UUID, *, now: datetime) -> ReceivedAnnouncement:
    """Raises NotFound for what is not in the caller's sight."""
    found = await queries.one_received(
        reader,
        school_id=caller.school,
        recipient_id=caller.recipient_id,
        role=caller.role,
        announcement_id=announcement_id,
        now=now,
    )
    if found is None:
        raise NotFound
    return (await with_files(reader, caller, [found]))[0]


async def with_files(
    reader: Reader, caller: Caller, received: Sequence[ReceivedAnnouncement]
) -> list[ReceivedAnnouncement]:
    of = await attachments.hanging(reader, caller.school, [each.announcement_id for each in received])
    return [msgspec.structs.replace(each, files=of.get(each.announcement_id, [])) for each in received]


async def show_file(
    database: Database,
    store: FileStore,
    settings: Settings,
    caller: Caller,
    announcement_id: UUID,
    file_id: UUID,
    *,
    now: datetime,
) -> Download:
    """A URL of a file that hangs on it, for who has received it and who manages it. Raises NotFound."""
    reader = database.reader(school_id=caller.school, is_fresh=True)
    found = await announcements.announcement(reader, school_id=caller.school, announcement_id=announcement_id)
    if not is_own(caller, found):
        await show(reader, caller, announcement_id, now=now)
    hanging = await attachments.hanging(reader, caller.school, [announcement_id])
    if file_id not in {each.file_id for each in hanging.get(announcement_id, [])}:
        raise NotFound
    return await files.download_url(reader, store, settings, caller.school, file_id)


async def read(database: Database, caller: Caller, announcement_id: UUID, *, now: datetime) -> ReceivedAnnouncement:
    """Mark as read; again changes nothing. Raises NotFound for what is not in the caller's sight."""
    async with database.transaction(school_id=caller.school) as tx:
        found = await show(tx, caller, announcement_id, now=now)
        was_unread = await queries.mark_read(
            tx,
            school_id=caller.school,
            announcement_id=announcement_id,
            recipient_id=caller.recipient_id,
            edition=found.edition,
            now=now,
        )
        if was_unread and caller.role in STAFF:
            await _tell_of_reading(tx, caller, announcement_id, edition=found.edition, now=now)
        return await show(tx, caller, announcement_id, now=now)


async def _tell_of_reading(tx: Tx, caller: Caller, announcement_id: UUID, *, edition: int, now: datetime) -> None:
    event = AnnouncementRead(
        announcement_id=announcement_id,
        recipient_id=caller.recipient_id,
        role=Role.SCHOOL_ADMIN if caller.role == Role.SCHOOL_ADMIN else Role.TEACHER,
        edition=edition,
        read_at=now,
    )
    subject = f"{announcement_id}/{caller.recipient_id}"
    await publish(tx, event, school_id=caller.school, subject=subject, version=edition)


async def recipients(
    database: Database,
    caller: Caller,
    announcement_id: UUID,
    *,
    is_read: bool | None,
    after: RecipientKey,
    limit: int,
    now: datetime,
) -> list[Receipt]:
    """The frozen audience; before it went out, whom it would come to now. To a teacher those of their classes today.

    Raises NotFound as `receipts`.
    """
    async with database.transaction(school_id=caller.school) as tx:
        row = await _own(tx, caller, announcement_id)
        day = clock.school_day(now, await roster.time_zone_of(tx, school_id=caller.school))
        if row.sent_at is None:
            return [] if is_read else await _resolved(tx, caller.school, row, day=day, after=after, limit=limit)
        return await queries.audience_receipts(
            tx,
            school_id=caller.school,
            announcement_id=announcement_id,
            edition=row.edition,
            teacher_id=None if caller.role == Role.SCHOOL_ADMIN else author_of(row).teacher_id,
            day=day,
            is_read=is_read,
            after=after,
            limit=limit,
        )


async def _resolved(
    tx: Tx, school_id: UUID, row: AnnouncementRow, *, day: date, after: RecipientKey, limit: int
) -> list[Receipt]:
    found = await audience_queries.recipients(
        tx,
        school_id=school_id,
        author=author_of(row),
        reach=reach_of(row.rules),
        exclude=row.rules.exclude,
        day=day,
        after=after,
        limit=limit,
    )
    return [Receipt(**msgspec.structs.asdict(each), delivered_at=None, read_at=None) for each in found]


async def _own(reader: Reader, caller: Caller, announcement_id: UUID) -> AnnouncementRow:
    found = await announcements.announcement(reader, school_id=caller.school, announcement_id=announcement_id)
    return require_own(caller, found)


async def receipts(reader: Reader, caller: Caller, announcement_id: UUID) -> Receipts:
    """Raises NotFound unless it is the caller's to manage. All zero until it went out."""
    row = await _own(reader, caller, announcement_id)
    by_role = await queries.receipts(
        reader, school_id=caller.school, announcement_id=announcement_id, edition=row.edition
    )
    return Receipts(
        edition=row.edition,
        recipients=sum(each.recipients for each in by_role),
        delivered=sum(each.delivered for each in by_role),
        read=sum(each.read for each in by_role),
        by_role=by_role,
    )
