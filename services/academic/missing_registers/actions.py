"""Telling of missing registers: the worker looks at one school at a time, and everything it does there is one
transaction (ADR 0706).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog

from services.academic.calendar import queries as calendar
from services.academic.missing_registers import queries, rules
from services.academic.missing_registers.queries import MissingFilter, MissingRow
from services.academic.missing_registers.schemas import DueLesson, MissingKey, MissingRegister, Times
from shared import clock
from shared.contracts.academic import RegisterMissing, RegisterNotMissing
from shared.database import Database, Reader, Tx, switch_school
from shared.outbox import Event, publish_all

log = structlog.get_logger()

POSTPONED: Final = timedelta(seconds=60)


async def look_at_next_school(database: Database) -> bool:
    """Tell what is due at one school. True when there may be more.

    One school's fault must not hold up the others: it alone is looked at again later.
    """
    async with database.transaction() as tx:
        now = clock.now()
        school_id = await queries.claim_school(tx, now=now)
        if school_id is None:
            return False
        try:
            async with tx.savepoint():
                await switch_school(tx, school_id)
                again_at = await tell_missing(tx, school_id, now=now)
        except Exception as error:  # noqa: BLE001 (whatever it is, see above)
            log.error("school_postponed", school_id=str(school_id), error=type(error).__name__)  # noqa: TRY400
            again_at = now + POSTPONED
        await queries.look_again(tx, school_id=school_id, due_at=again_at)
    return True


async def tell_missing(tx: Tx, school_id: UUID, *, now: datetime) -> datetime:
    """Take back what is no longer missing, then tell what is due and was not told; when to look again.

    Lessons are read twice: what is due is locked, and read again under the lock, so that a register which was saved
    in between is not told of.
    """
    school = await calendar.school(tx, school_id=school_id)
    if school is None:
        return now + rules.LOOK_AHEAD
    await _take_back(tx, school_id, since=now - rules.TAKEN_BACK_FOR)
    times = Times(
        reminder_minutes=school.register_reminder_minutes, escalation_minutes=school.register_escalation_minutes
    )
    since, until = now - rules.MAX_AGE, now + rules.LOOK_AHEAD
    found = await queries.open_lessons(tx, school_id=school_id, since=since, until=until)
    due_ids = sorted({each.lesson.lesson_id for each in rules.due(found, times, now=now)})
    if not due_ids:
        return rules.look_again_at(found, times, now=now)
    locked = await queries.lock_lessons(tx, school_id=school_id, lesson_ids=due_ids)
    still = await queries.open_lessons(tx, school_id=school_id, since=since, until=until, lesson_ids=locked)
    await _tell(tx, school_id, rules.due(still, times, now=now), now=now)
    after = await queries.open_lessons(tx, school_id=school_id, since=since, until=until)
    return rules.look_again_at(after, times, now=now)


async def _take_back(tx: Tx, school_id: UUID, *, since: datetime) -> None:
    """Who was told that a register is missing hears that it no longer is, and is told anew should it be missing again.

    Of a register that is saved whole they hear by that.
    """
    found = await queries.told_in_vain(tx, school_id=school_id, since=since)
    if not found:
        return
    gone = [each.lesson_id for each in found if not each.is_planned]
    planned = [each.lesson_id for each in found if each.is_planned]
    locked = await queries.lock_lessons(tx, school_id=school_id, lesson_ids=planned)
    still = await queries.told_in_vain(tx, school_id=school_id, since=since, lesson_ids=[*gone, *locked])
    await queries.forget_notices(tx, school_id=school_id, lesson_ids=[each.lesson_id for each in still])
    events = [
        Event(data=RegisterNotMissing(lesson_id=each.lesson_id), subject=str(each.lesson_id), version=1)
        for each in still
    ]
    await publish_all(tx, events, school_id=school_id)


async def _tell(tx: Tx, school_id: UUID, due: Sequence[DueLesson], *, now: datetime) -> None:
    noted = {
        (each.lesson_id, each.step) for each in await queries.add_notices(tx, school_id=school_id, due=due, now=now)
    }
    events = [
        Event(data=_event(each), subject=f"{each.lesson.lesson_id}/{each.step}", version=1)
        for each in due
        if (each.lesson.lesson_id, each.step) in noted
    ]
    await publish_all(tx, events, school_id=school_id)


def _event(due: DueLesson) -> RegisterMissing:
    lesson = due.lesson
    return RegisterMissing(
        lesson_id=lesson.lesson_id,
        class_id=lesson.class_id,
        class_title=lesson.class_title,
        day=lesson.day,
        starts_at=lesson.starts_at,
        ends_at=lesson.ends_at,
        step=due.step,
        teacher_ids=lesson.teacher_ids,
    )


async def missing_registers(
    reader: Reader, school_id: UUID, only: MissingFilter, *, before: MissingKey, now: datetime, limit: int
) -> list[MissingRegister]:
    """The lessons that lack marks, the newest first, in local time."""
    zone = ZoneInfo(await calendar.time_zone_of(reader, school_id=school_id))
    found = await queries.missing_registers(
        reader,
        school_id=school_id,
        only=only,
        before=(before.day, before.starts_at, before.lesson_id),
        now=now,
        limit=limit,
    )
    return [_as_shown(row, zone) for row in found]


def _as_shown(row: MissingRow, zone: ZoneInfo) -> MissingRegister:
    fields = msgspec.structs.asdict(row)
    is_saved = fields.pop("is_saved")
    instants = {name: fields.pop(name) for name in ("starts_at", "ends_at", "reminded_at", "escalated_at")}
    local = {name: at and at.astimezone(zone) for name, at in instants.items()}
    return MissingRegister(
        register=f"/api/v1/lessons/{row.lesson_id}/register",
        lack="incomplete" if is_saved else "missing",
        **fields,
        **local,
    )
