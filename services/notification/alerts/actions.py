"""Alerts move here: on an event, or when their grace period is over. Inbox rows and mails are written in the same
transaction as the move, so that there is exactly one of each, or neither (ADR 0801).
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.notification.alerts import queries, rules
from services.notification.alerts.schemas import AlertRow, DueAlert
from services.notification.alerts.telling import Teller
from services.notification.roster import queries as roster
from services.notification.roster.schemas import School
from services.notification.settings import Settings
from shared import clock, telemetry
from shared.contracts.academic import AttendanceDayChanged
from shared.database import Database, Tx, switch_school

log = structlog.get_logger()

BATCH: Final = 100
"""Alerts told in one transaction."""
POSTPONED: Final = timedelta(seconds=30)
LATENESS_SECONDS: Final = Histogram(
    "homeroom_alert_lateness_seconds",
    "From the end of an absence's grace period to the guardians' inboxes.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600),
)
OVERDUE_SECONDS: Final = Gauge("homeroom_alert_overdue_seconds", "How long the oldest alert that is due has waited.")
POSTPONEMENTS: Final = Counter("homeroom_alerts_postponed_total", "Alerts that could not be told and are tried again.")


async def take_in_day(tx: Tx, teller: Teller, school_id: UUID, event: AttendanceDayChanged, *, version: int) -> None:
    """Move the alert of a student's day by an attendance event; the highest version wins, whatever comes when."""
    row = await queries.locked_alert(tx, school_id, student_id=event.student_id, day=event.day)
    if rules.is_stale(version, known=row.version):
        return
    school = await roster.school_settings(tx, school_id)
    after = rules.after_register(
        row.alert,
        is_absent=event.is_unexplained_absence,
        due_at=rules.due_at(event.changed_at, school.grace_period_minutes),
    )
    moved = msgspec.structs.replace(
        row.with_alert(after),
        version=version,
        lessons=event.lessons,
        marked_by=rules.only_marker(event.marked_by, changed_by=event.changed_by),
        traceparent=telemetry.traceparent(),
    )
    await queries.save_alerts(tx, school_id, [moved])
    await _queue(tx, school_id, moved)
    if rules.must_correct(row.alert, after):
        is_explained = rules.is_still_away(row.lessons, explained=event.explained_lessons, status=event.status)
        await teller.tell_correction(tx, school_id, moved, is_explained=is_explained, locale=school.locale)


async def release_due(database: Database, teller: Teller, settings: Settings) -> bool:
    """Tell guardians of absences whose grace period is over. True when there may be more.

    One alert's fault must not hold up the others: it alone is looked at again later.
    """
    async with database.transaction() as tx:
        claimed = await queries.claim_due_alerts(tx, now=clock.now(), limit=BATCH)
        for school_id, due in _by_school(claimed):
            await _release_or_postpone(tx, teller, settings, school_id, due)
    return len(claimed) == BATCH


async def measure_overdue(database: Database) -> None:
    """What was never told has no lateness yet: operators must see it wait."""
    OVERDUE_SECONDS.set(await queries.overdue_s(database.reader(), now=clock.now()))


async def _release_or_postpone(
    tx: Tx, teller: Teller, settings: Settings, school_id: UUID, due: Sequence[DueAlert]
) -> None:
    """All at once; should that fail, each by itself, so that the one at fault is found."""
    try:
        async with tx.savepoint():
            await switch_school(tx, school_id)
            await _release(tx, teller, settings, school_id, due)
    except Exception as error:  # noqa: BLE001 (whatever it is, see `release_due`)
        if len(due) > 1:
            for each in due:
                await _release_or_postpone(tx, teller, settings, school_id, [each])
            return
        POSTPONEMENTS.inc()
        log.error("alert_postponed", school_id=str(school_id), error=type(error).__name__)  # noqa: TRY400
        await queries.postpone_alerts(tx, due, until=clock.now() + POSTPONED)


async def _release(tx: Tx, teller: Teller, settings: Settings, school_id: UUID, due: Sequence[DueAlert]) -> None:
    school = await roster.school_settings(tx, school_id)
    rows = await queries.locked_alerts(tx, school_id, due)
    recipients = await _recipients(tx, school_id, school, rows)
    moves = [(row, _after_grace(row, settings, school, recipients[row.student_id, row.day])) for row in rows]
    await queries.save_alerts(tx, school_id, [after for _, after in moves])
    await queries.forget_alerts(tx, school_id, [after for _, after in moves if after.state != "pending"])
    told = [after for before, after in moves if rules.must_tell(before.alert, after.alert)]
    untold = [after for before, after in moves if rules.is_untold(before.alert, after.alert)]
    addressed = [(row, recipients[row.student_id, row.day]) for row in told]
    await teller.tell_alerts(tx, school_id, addressed, locale=school.locale)
    await teller.record_untold(tx, school_id, untold, locale=school.locale)
    _measure(tx, [before for before, after in moves if rules.must_tell(before.alert, after.alert)])


def _measure(tx: Tx, told: Sequence[AlertRow]) -> None:
    async def observe() -> None:
        now = clock.now()
        for each in told:
            LATENESS_SECONDS.observe((now - (each.due_at or now)).total_seconds())

    tx.after_commit(observe)


async def _recipients(
    tx: Tx, school_id: UUID, school: School, rows: Sequence[AlertRow]
) -> dict[tuple[UUID, date], list[UUID]]:
    found = await roster.alert_recipients(
        tx,
        school_id,
        student_ids=[row.student_id for row in rows],
        days=[row.day for row in rows],
        marked_by=[row.marked_by for row in rows],
        today=clock.school_day(clock.now(), school.time_zone),
    )
    recipients: dict[tuple[UUID, date], list[UUID]] = {(row.student_id, row.day): [] for row in rows}
    for each in found:
        recipients[each.student_id, each.day].append(each.guardian_id)
    return recipients


def _after_grace(row: AlertRow, settings: Settings, school: School, recipients: Sequence[UUID]) -> AlertRow:
    now = clock.now()
    too_late = rules.is_too_late(row.day, now=now, time_zone=school.time_zone, max_age_h=settings.alert_max_age_h)
    return row.with_alert(rules.after_grace(row.alert, now=now, is_too_late=too_late, has_recipients=bool(recipients)))


async def _queue(tx: Tx, school_id: UUID, row: AlertRow) -> None:
    """A pending alert waits in the queue, any other does not."""
    if row.state == "pending":
        await queries.await_alert(tx, school_id, row)
    else:
        await queries.forget_alerts(tx, school_id, [row])


def _by_school(claimed: Sequence[DueAlert]) -> Iterable[tuple[UUID, list[DueAlert]]]:
    ordered = sorted(claimed, key=lambda each: each.school_id)
    return ((school_id, list(due)) for school_id, due in groupby(ordered, key=lambda each: each.school_id))
