"""Reporting an absence, deciding on it, taking it back; what registers say already follows in the same transaction."""

from datetime import date, datetime
from uuid import UUID

import msgspec

from services.academic import access
from services.academic.absences import queries, rules
from services.academic.absences.schemas import AbsenceReport, Decision, NewAbsenceReport, RecordedDecision
from services.academic.attendance.actions import derive_days_of_student
from services.academic.calendar import queries as calendar
from services.academic.people import queries as people
from shared import clock
from shared.contracts.academic import AbsenceReportChanged
from shared.database import Database, Reader, Tx
from shared.identity import Caller, Role
from shared.ids import new_id
from shared.outbox import publish
from shared.problems import NotFound


async def report_absence(database: Database, caller: Caller, new: NewAbsenceReport, *, now: datetime) -> AbsenceReport:
    """A guardian reports it of their child, or the office writes it down, which accepts it.

    Raises NotFound for a student whom the caller may not see today, UnreportableDays.
    """
    async with database.transaction(school_id=caller.school) as tx:
        today = clock.school_day(now, await calendar.time_zone_of(tx, school_id=caller.school))
        await access.require_student(tx, caller, new.student_id, today=today)
        by_office = caller.role == Role.SCHOOL_ADMIN
        rules.require_days(new, today=today, by_office=by_office)
        student = await people.student(tx, school_id=caller.school, student_id=new.student_id)
        if student is None:
            raise NotFound
        report = AbsenceReport(
            id=new_id(),
            student_given_name=student.given_name,
            student_family_name=student.family_name,
            guardian_id=None if by_office else caller.person,
            state="accepted" if by_office else "pending",
            answer=None,
            version=1,
            reported_at=now,
            **msgspec.structs.asdict(new),
        )
        await queries.add_report(tx, school_id=caller.school, report=report)
        await _follow(tx, caller, report, today=today, now=now)
    return report


async def decide(
    database: Database, caller: Caller, report_id: UUID, decision: Decision, *, now: datetime
) -> AbsenceReport:
    """The office accepts or refuses, or changes its mind. Raises NotFound, StaleReport, ReportClosed."""
    async with database.transaction(school_id=caller.school) as tx:
        before, today = await _locked(tx, caller, report_id, now=now)
        return await _save(tx, caller, before, rules.decided(before, decision), today=today, now=now)


async def withdraw(
    database: Database, caller: Caller, report_id: UUID, *, version: int, now: datetime
) -> AbsenceReport:
    """The guardian who reported it takes it back. Raises NotFound, Forbidden, StaleReport, ReportClosed."""
    async with database.transaction(school_id=caller.school) as tx:
        before, today = await _locked(tx, caller, report_id, now=now)
        after = rules.withdrawn(before, caller, version=version, today=today)
        return await _save(tx, caller, before, after, today=today, now=now)


async def _locked(tx: Tx, caller: Caller, report_id: UUID, *, now: datetime) -> tuple[AbsenceReport, date]:
    """The report, and the school's day. Raises NotFound."""
    found = await queries.lock_report(tx, school_id=caller.school, report_id=report_id)
    if found is None:
        raise NotFound
    today = clock.school_day(now, await calendar.time_zone_of(tx, school_id=caller.school))
    await access.require_student(tx, caller, found.student_id, today=today)
    return found, today


async def _save(
    tx: Tx, caller: Caller, before: AbsenceReport, after: AbsenceReport, *, today: date, now: datetime
) -> AbsenceReport:
    if after != before:
        await queries.save_report(tx, school_id=caller.school, report=after)
        await _follow(tx, caller, after, today=today, now=now)
    return after


async def _follow(tx: Tx, caller: Caller, report: AbsenceReport, *, today: date, now: datetime) -> None:
    """What every change of a report brings: its history, the event, and the days derived anew."""
    await queries.record_change(tx, school_id=caller.school, report=report, user_id=caller.user_id, now=now)
    event = AbsenceReportChanged(
        absence_report_id=report.id,
        student_id=report.student_id,
        guardian_id=report.guardian_id,
        kind=report.kind,
        starts_on=report.starts_on,
        ends_on=report.ends_on,
        state=report.state,
        answer=report.answer,
        changed_by=caller.user_id,
    )
    await publish(tx, event, school_id=caller.school, subject=str(report.id), version=report.version)
    first, last = rules.days_to_derive(report, today=today)
    await derive_days_of_student(tx, caller.school, report.student_id, first, last, user_id=caller.user_id, now=now)


async def report_of(reader: Reader, caller: Caller, report_id: UUID) -> AbsenceReport:
    """The report as the caller may see it. Raises NotFound."""
    found = await queries.report(reader, school_id=caller.school, report_id=report_id)
    if found is None:
        raise NotFound
    today = await calendar.today(reader, school_id=caller.school)
    await access.require_student(reader, caller, found.student_id, today=today)
    return rules.as_seen_by(found, caller)


async def history_of(reader: Reader, school_id: UUID, report_id: UUID) -> list[RecordedDecision]:
    """Raises NotFound."""
    found = await queries.history(reader, school_id=school_id, report_id=report_id)
    if not found:
        raise NotFound
    return found
