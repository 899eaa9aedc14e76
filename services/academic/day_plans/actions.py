"""Telling the lessons of a day: one school at a time, and everything done there is one transaction (ADR 0506)."""

from datetime import date
from uuid import UUID

import structlog

from services.academic.calendar import queries as calendar
from services.academic.day_plans import queries, rules
from shared import clock
from shared.contracts.academic import LessonsPlanned
from shared.database import Database, Tx, switch_school
from shared.outbox import publish

log = structlog.get_logger()


async def look_at_next_school(database: Database) -> bool:
    """Tell what changed in the lessons of one school, today and tomorrow. True when there may be more to look at.

    One school's fault must not hold up the others: it alone is looked at again later.
    """
    async with database.transaction() as tx:
        now = clock.now()
        school_id = await queries.claim_school(tx, now=now)
        if school_id is None:
            return False
        again_at = now + rules.LOOK_AHEAD
        try:
            async with tx.savepoint():
                await switch_school(tx, school_id)
                today = clock.school_day(now, await calendar.time_zone_of(tx, school_id=school_id))
                for day in rules.days_told(today):
                    await tell_day(tx, school_id, day)
        except Exception as error:  # noqa: BLE001 (whatever it is, see above)
            log.error("day_plan_postponed", school_id=str(school_id), error=type(error).__name__)  # noqa: TRY400
            again_at = now + rules.POSTPONED
        await queries.look_again(tx, school_id=school_id, due_at=again_at)
    return True


async def tell_day(tx: Tx, school_id: UUID, day: date) -> None:
    lessons = await queries.lessons(tx, school_id=school_id, day=day)
    if len(lessons) == queries.MAX_LESSONS:
        log.warning("day_plan_cut", school_id=str(school_id), lessons=len(lessons))
    version = await queries.raise_version(tx, school_id=school_id, day=day, digest=rules.digest(lessons))
    if version is not None:
        event = LessonsPlanned(day=day, lessons=lessons)
        await publish(tx, event, school_id=school_id, subject=f"{school_id}/{day}", version=version)
