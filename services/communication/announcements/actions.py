"""Writing announcements: each change takes the row first, so that edits, withdrawals and the sending take turns."""

from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UnsetType

from services.communication.announcements import attachments, queries, rules
from services.communication.announcements.schemas import (
    Announcement,
    AnnouncementChange,
    AnnouncementRow,
    Attachment,
    NewAnnouncement,
    SendRequest,
)
from services.communication.audiences import actions as audiences
from services.communication.audiences.schemas import Audience, Author, Preview
from services.communication.roster import queries as roster
from services.communication.settings import Settings
from shared import clock, telemetry
from shared.contracts.communication import AnnouncementChanged, AnnouncementWithdrawn
from shared.database import Database, Reader, Tx
from shared.identity import Caller, Role
from shared.ids import new_id
from shared.outbox import publish

ENDS: Final = ("pinned_until", "expires_at")


def author_of(caller: Caller) -> Author:
    """Raises Forbidden for a teacher's login without a teacher."""
    return Author(teacher_id=None if caller.role == Role.SCHOOL_ADMIN else caller.person)


async def preview(database: Database, caller: Caller, audience: Audience) -> Preview:
    """Raises OutsideYourClasses, UnknownInAudience."""
    async with database.transaction(school_id=caller.school) as tx:
        day = await _today(tx, caller.school, clock.now())
        await audiences.require(tx, caller.school, author_of(caller), audience, day=day)
        return await audiences.preview(tx, caller.school, author_of(caller), audience, day=day)


async def add(
    database: Database, settings: Settings, caller: Caller, new: NewAnnouncement, *, now: datetime
) -> Announcement:
    """A draft. Raises OutsideYourClasses, UnknownInAudience, OfficeOnly, NoSuchEnd, UnknownFile, FileNotReady."""
    author = author_of(caller)
    row = AnnouncementRow(
        announcement_id=new_id(),
        author_user_id=caller.user_id,
        author_role="teacher" if author.teacher_id else "school_admin",
        author_person_id=author.teacher_id,
        title=new.title,
        body=new.body,
        audience=msgspec.to_builtins(new.audience),
        is_urgent=new.is_urgent,
        state="draft",
        hold_reason=None,
        send_at_local=None,
        send_at=None,
        pinned_until=new.pinned_until,
        expires_at=new.expires_at,
        edition=1,
        next_part=1,
        parts=0,
        version=1,
        created_at=now,
        edited_at=None,
        sent_by=None,
        sent_at=None,
        withdrawn_at=None,
        traceparent=None,
    )
    async with database.transaction(school_id=caller.school) as tx:
        await _require(tx, caller.school, None, row, now=now)
        await queries.add_announcement(tx, school_id=caller.school, row=row)
        return shown(row, await attachments.hang(tx, settings, caller, row.announcement_id, new.file_ids))


async def edit(
    database: Database,
    settings: Settings,
    caller: Caller,
    announcement_id: UUID,
    change: AnnouncementChange,
    *,
    now: datetime,
) -> Announcement:
    """Raises NotFound, StaleAnnouncement, what `rules.edited` raises, and what adding raises."""
    async with database.transaction(school_id=caller.school) as tx:
        row = await _locked(tx, caller, announcement_id, version=change.version)
        after = rules.edited(row, change, now=now)
        await _require(tx, caller.school, row, after, now=now)
        if rules.must_reach_its_audience(row, after, change) and (caller.role == Role.TEACHER or change.notify):
            await audiences.require_reach(
                tx, caller.school, rules.author_of(row), row.rules, day=await _today(tx, caller.school, now)
            )
        if after.state == "sending" and row.state == "sent":
            after = msgspec.structs.replace(after, sent_by=caller.user_id, traceparent=telemetry.traceparent())
            await queries.await_announcement(tx, school_id=caller.school, announcement_id=announcement_id, due_at=now)
        await queries.save_announcement(tx, school_id=caller.school, row=after)
        if row.state in rules.GONE_OUT and what_is_told(row) != what_is_told(after):
            await tell_of_change(tx, caller.school, after)
        if not isinstance(change.file_ids, UnsetType):
            await attachments.hang(tx, settings, caller, announcement_id, change.file_ids)
        return await _shown(tx, caller.school, after)


async def send(
    database: Database, caller: Caller, announcement_id: UUID, request: SendRequest, *, now: datetime
) -> Announcement:
    """Put it into the queue, for now or for a time of the school's clock. The worker does the rest.

    Raises NotFound, StaleAnnouncement, NotToBeSent, NoSuchTime, NoSuchEnd, NobodyToTell.
    """
    async with database.transaction(school_id=caller.school) as tx:
        # The school before the announcement, as when its zone changes: `reschedule` then finds what this leaves behind.
        zone = await roster.held_time_zone_of(tx, school_id=caller.school)
        row = await _locked(tx, caller, announcement_id, version=request.version)
        rules.require_to_be_sent(row)
        send_at = now if request.at is None else rules.require_time(request.at, zone, now=now)
        for name in ENDS:
            rules.require_end_after(name, getattr(row, name), send_at, pointer="/at")
        if request.at is None:
            day = clock.school_day(now, zone)
            await audiences.require_somebody(tx, caller.school, rules.author_of(row), row.rules, day=day)
        after = msgspec.structs.replace(
            rules.scheduled(row, local=request.at, send_at=send_at),
            sent_by=caller.user_id,
            traceparent=telemetry.traceparent(),
        )
        await queries.save_announcement(tx, school_id=caller.school, row=after)
        await queries.await_announcement(tx, school_id=caller.school, announcement_id=announcement_id, due_at=send_at)
        return await _shown(tx, caller.school, after)


async def call_back(database: Database, caller: Caller, announcement_id: UUID, *, version: int) -> Announcement:
    """Make what waits to go out a draft again. Raises NotFound, StaleAnnouncement, NotScheduled."""
    async with database.transaction(school_id=caller.school) as tx:
        row = await _locked(tx, caller, announcement_id, version=version)
        rules.require_scheduled(row)
        after = rules.called_back(row)
        await queries.save_announcement(tx, school_id=caller.school, row=after)
        await queries.forget_announcement(tx, school_id=caller.school, announcement_id=announcement_id)
        return await _shown(tx, caller.school, after)


async def withdraw(
    database: Database, settings: Settings, caller: Caller, announcement_id: UUID, *, now: datetime
) -> Announcement:
    """Out of sight at once, whatever state it is in; what was not told of it stays untold. Its files are let go.

    Raises NotFound.
    """
    async with database.transaction(school_id=caller.school) as tx:
        row = await _locked(tx, caller, announcement_id, version=None)
        await attachments.hang(tx, settings, caller, announcement_id, [])
        if row.state == "withdrawn":
            return await _shown(tx, caller.school, row)
        after = rules.withdrawn(row, now=now)
        await queries.save_announcement(tx, school_id=caller.school, row=after)
        await queries.forget_announcement(tx, school_id=caller.school, announcement_id=announcement_id)
        if row.sent_by is not None:  # somebody may have heard of it, if only its author that it was held
            event = AnnouncementWithdrawn(announcement_id=announcement_id, withdrawn_at=now)
            await publish(tx, event, school_id=caller.school, subject=str(announcement_id), version=after.version)
        if row.state in rules.GONE_OUT:
            await tell_of_change(tx, caller.school, after)
        return await _shown(tx, caller.school, after)


async def tell_of_change(tx: Tx, school_id: UUID, row: AnnouncementRow) -> None:
    """For who shows how much there is to read, or the text itself."""
    event = what_is_told(row)
    await publish(tx, event, school_id=school_id, subject=str(row.announcement_id), version=row.version)


def what_is_told(row: AnnouncementRow) -> AnnouncementChanged:
    return AnnouncementChanged(
        announcement_id=row.announcement_id,
        edition=row.edition,
        title=row.title,
        body=row.body,
        expires_at=row.expires_at,
        is_withdrawn=row.state == "withdrawn",
    )


async def reschedule(tx: Tx, school_id: UUID, time_zone: str) -> None:
    """The school's clock was changed: what waits for a time that it shows, waits for that time."""
    moved = [
        msgspec.structs.replace(row, send_at=rules.send_instant(row, time_zone))
        for row in await queries.locked_scheduled(tx, school_id=school_id)
    ]
    for row in moved:
        await queries.save_announcement(tx, school_id=school_id, row=row)
    await queries.await_announcements(tx, school_id=school_id, rows=moved)


async def _locked(tx: Tx, caller: Caller, announcement_id: UUID, *, version: int | None) -> AnnouncementRow:
    found = await queries.locked_announcement(tx, school_id=caller.school, announcement_id=announcement_id)
    row = rules.require_own(caller, found)
    if version is not None:
        rules.require_version(row, version)
    return row


async def _require(
    tx: Tx, school_id: UUID, before: AnnouncementRow | None, after: AnnouncementRow, *, now: datetime
) -> None:
    """What is new in `after` must make sense; what stood there before may have been overtaken by time."""
    author = rules.author_of(after)
    rules.require_urgency(author, is_urgent=after.is_urgent)
    for name in ENDS:
        end = getattr(after, name)
        if before is None or getattr(before, name) != end:
            rules.require_end(name, end, now=now)
            if after.state == "scheduled" and after.send_at is not None:
                rules.require_end_after(name, end, after.send_at, pointer=f"/{name}")
    if before is None or before.rules != after.rules:
        day = await _today(tx, school_id, now)
        await audiences.require(tx, school_id, author, after.rules, day=day)


async def _today(tx: Tx, school_id: UUID, now: datetime) -> date:
    return clock.school_day(now, await roster.time_zone_of(tx, school_id=school_id))


async def show(reader: Reader, caller: Caller, announcement_id: UUID) -> Announcement:
    """Raises NotFound unless it is the caller's to manage."""
    found = await queries.announcement(reader, school_id=caller.school, announcement_id=announcement_id)
    return await _shown(reader, caller.school, rules.require_own(caller, found))


async def _shown(reader: Reader, school_id: UUID, row: AnnouncementRow) -> Announcement:
    files = await attachments.hanging(reader, school_id, [row.announcement_id])
    return shown(row, files.get(row.announcement_id, []))


def shown(row: AnnouncementRow, files: list[Attachment]) -> Announcement:
    own = {name: getattr(row, name) for name in Announcement.__struct_fields__ if name not in {"audience", "files"}}
    return Announcement(**own, audience=row.rules, files=files)
