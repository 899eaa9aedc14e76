"""Announcements go out: one step in one transaction, so that a crash between two loses and doubles nothing (ADR 0504).

A step freezes the audience, or tells one part of it. What the step did and the place where the next one goes on are
committed together with the event; the row of the announcement, locked, lets one worker at a time do it.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from services.communication.announcements import queries, rules
from services.communication.announcements.actions import tell_of_change
from services.communication.announcements.schemas import AnnouncementRow, DueAnnouncement
from services.communication.audiences.rules import reach_of
from services.communication.roster import queries as roster
from shared import clock, telemetry
from shared.contracts.communication import AnnouncementHeld, AnnouncementRecipient, AnnouncementSent
from shared.database import Database, Tx, switch_school
from shared.outbox import publish

log = structlog.get_logger()

POSTPONED: Final = timedelta(seconds=30)
PASSED_BY: Final = timedelta(seconds=1)
"""What somebody has in hand is looked at again then, and all others before it."""


async def send_due(database: Database) -> bool:
    """Take one step with one announcement that is due. True when there may be more to do.

    Neither the fault of one nor who has it in hand must hold up the others: it is looked at again later.
    """
    async with database.transaction() as tx:
        due = await queries.claim_due(tx, now=clock.now())
        if due is None:
            return False
        await switch_school(tx, due.school_id)
        try:
            async with tx.savepoint():
                await _take_a_step(tx, due)
        except Exception as error:  # noqa: BLE001 (whatever it is, see above)
            log.error("announcement_postponed", school_id=str(due.school_id), error=type(error).__name__)  # noqa: TRY400
            await _postpone(tx, due, POSTPONED)
    return True


async def _postpone(tx: Tx, due: DueAnnouncement, by: timedelta) -> None:
    await queries.await_announcement(
        tx, school_id=due.school_id, announcement_id=due.announcement_id, due_at=clock.now() + by
    )


async def _take_a_step(tx: Tx, due: DueAnnouncement) -> None:
    row = await queries.taken_announcement(tx, school_id=due.school_id, announcement_id=due.announcement_id)
    if row is None:
        # Somebody edits or withdraws it, or it is gone. Whoever is at it says anew when it is due, should that change.
        await _postpone(tx, due, PASSED_BY)
        return
    with telemetry.span("send announcement", traceparent=row.traceparent):
        match row.state:
            case "scheduled":
                await _freeze(tx, due.school_id, row)
            case "sending":
                await _tell_part(tx, due.school_id, row)
            case _:
                await queries.forget_announcement(tx, school_id=due.school_id, announcement_id=due.announcement_id)


async def _freeze(tx: Tx, school_id: UUID, row: AnnouncementRow) -> None:
    """Resolve the audience and keep it, unless it is not yet time by the school's clock, or nothing is to be told."""
    now, zone = clock.now(), await roster.time_zone_of(tx, school_id=school_id)
    if (send_at := rules.send_instant(row, zone)) > now:
        await queries.await_announcement(tx, school_id=school_id, announcement_id=row.announcement_id, due_at=send_at)
        return
    if rules.is_expired(row, now=now):
        after = rules.held(row, "expired")
    elif rules.is_day_over(row, zone, now=now):
        after = rules.held(row, "day_over")
    else:
        recipients = await queries.freeze(
            tx,
            school_id=school_id,
            announcement_id=row.announcement_id,
            author=rules.author_of(row),
            reach=reach_of(row.rules),
            exclude=row.rules.exclude,
            day=clock.school_day(now, zone),
            part_size=rules.PART,
            now=now,
        )
        after = rules.frozen(row, recipients=recipients, now=now)
    await _save(tx, school_id, after)
    if after.state == "sending":
        await tell_of_change(tx, school_id, after)
    else:
        await _tell_author(tx, school_id, after)


async def _tell_author(tx: Tx, school_id: UUID, held: AnnouncementRow) -> None:
    assert held.hold_reason is not None
    event = AnnouncementHeld(
        announcement_id=held.announcement_id,
        title=held.title,
        reason=held.hold_reason,
        author=AnnouncementRecipient(
            recipient_id=held.author_person_id or held.author_user_id, role=held.author_role, student_ids=[]
        ),
        held_at=clock.now(),
    )
    await publish(tx, event, school_id=school_id, subject=str(held.announcement_id), version=held.version)


async def _tell_part(tx: Tx, school_id: UUID, row: AnnouncementRow) -> None:
    assert row.sent_at is not None
    assert row.sent_by is not None
    day = clock.school_day(clock.now(), await roster.time_zone_of(tx, school_id=school_id))
    told = await queries.part(
        tx,
        school_id=school_id,
        announcement_id=row.announcement_id,
        author=rules.author_of(row),
        number=row.next_part,
        day=day,
    )
    event = AnnouncementSent(
        announcement_id=row.announcement_id,
        edition=row.edition,
        part=row.next_part,
        title=row.title,
        body=row.body,
        is_urgent=row.is_urgent,
        recipients=[
            AnnouncementRecipient(recipient_id=each.recipient_id, role=each.role, student_ids=each.student_ids)
            for each in told
        ],
        sent_by=row.sent_by,
        sent_at=row.sent_at,
    )
    if told:
        subject = f"{row.announcement_id}/{row.edition}/{row.next_part}"
        await publish(tx, event, school_id=school_id, subject=subject, version=1)
    await _save(tx, school_id, rules.after_part(row))


async def _save(tx: Tx, school_id: UUID, row: AnnouncementRow) -> None:
    """What is on its way stays in the queue, anything else leaves it."""
    await queries.save_announcement(tx, school_id=school_id, row=row)
    if row.state == "sending":
        await queries.await_announcement(
            tx, school_id=school_id, announcement_id=row.announcement_id, due_at=clock.now()
        )
    else:
        await queries.forget_announcement(tx, school_id=school_id, announcement_id=row.announcement_id)
