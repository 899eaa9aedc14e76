"""Reported absences and requests for leave over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from services.academic import caches
from services.academic.absences import actions, queries, rules
from services.academic.absences.queries import ReportFilter
from services.academic.absences.rules import ReportClosed, StaleReport, UnreportableDays
from services.academic.absences.schemas import (
    AbsenceReport,
    Decision,
    NewAbsenceReport,
    RecordedDecision,
    State,
    Withdrawal,
)
from shared import clock
from shared.cache import Cache
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import Forbidden, NotFound

InState = Annotated[State | None, QueryParameter(name="state", description="Only those in this state.")]
OnDay = Annotated[date | None, QueryParameter(name="day", description="Only those that take in this day.")]
OfStudent = Annotated[UUID | None, QueryParameter(name="student_id", description="Only those of this student.")]


class ReportKey(msgspec.Struct, frozen=True):
    id: UUID


@post(
    "/absence-reports",
    operation_id="report_absence",
    summary="Report an absence of one's child, or ask for leave; the office writes one down for any student.",
    opt={"permission": "absence.report", "problems": (NotFound, UnreportableDays)},
)
async def report_absence(
    data: JSONBody[NewAbsenceReport], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> AbsenceReport:
    return await actions.report_absence(database, caller, data, now=clock.now())


@get(
    "/absence-reports",
    operation_id="list_absence_reports",
    summary="Reports, the newest first: of one's children, or for the office all of them.",
    opt={"permission": "absence.report"},
)
async def list_absence_reports(
    database: NamedDependency[Database],
    cache: NamedDependency[Cache],
    caller: NamedDependency[Caller],
    state_: InState = None,
    day: OnDay = None,
    student_id: OfStudent = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AbsenceReport]:
    reader = database.reader(school_id=caller.school)
    today = await caches.today(cache, reader, school_id=caller.school)
    only = ReportFilter(guardian_id=rules.scope_of(caller), today=today, state=state_, day=day, student_id=student_id)
    before = decode_cursor(cursor, ReportKey) or ReportKey(queries.LAST_ID)
    found = await queries.reports(reader, school_id=caller.school, only=only, before_id=before.id, limit=limit + 1)
    return page(
        [rules.as_seen_by(report, caller) for report in found],
        limit=limit,
        path="/api/v1/absence-reports",
        filters={"state": state_, "day": day, "student_id": student_id},
        key=lambda report: ReportKey(report.id),
    )


@get(
    "/absence-reports/{absence_report_id:uuid}",
    operation_id="show_absence_report",
    summary="One report, for the child's guardians and the office.",
    opt={"permission": "absence.report", "problems": (NotFound,)},
)
async def show_absence_report(
    absence_report_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> AbsenceReport:
    return await actions.report_of(database.reader(school_id=caller.school), caller, absence_report_id)


@put(
    "/absence-reports/{absence_report_id:uuid}/decision",
    operation_id="decide_absence_report",
    summary="Accept or refuse a report, with an answer; what registers say already follows.",
    opt={"permission": "absence.decide", "problems": (NotFound, StaleReport, ReportClosed)},
)
async def decide_absence_report(
    absence_report_id: FromPath[UUID],
    data: JSONBody[Decision],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> AbsenceReport:
    return await actions.decide(database, caller, absence_report_id, data, now=clock.now())


@put(
    "/absence-reports/{absence_report_id:uuid}/withdrawal",
    operation_id="withdraw_absence_report",
    summary="Take back one's own report, while it is pending or has not begun.",
    opt={"permission": "absence.withdraw", "problems": (NotFound, Forbidden, StaleReport, ReportClosed)},
)
async def withdraw_absence_report(
    absence_report_id: FromPath[UUID],
    data: JSONBody[Withdrawal],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> AbsenceReport:
    return await actions.withdraw(database, caller, absence_report_id, version=data.version, now=clock.now())


@get(
    "/absence-reports/{absence_report_id:uuid}/history",
    operation_id="show_absence_report_history",
    summary="Who changed a report, when, and to what.",
    opt={"permission": "absence.decide", "problems": (NotFound,)},
)
async def show_absence_report_history(
    absence_report_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> list[RecordedDecision]:
    return await actions.history_of(database.reader(school_id=caller.school), caller.school, absence_report_id)


router = Router(
    "/api/v1",
    route_handlers=[
        report_absence,
        list_absence_reports,
        show_absence_report,
        decide_absence_report,
        withdraw_absence_report,
        show_absence_report_history,
    ],
)
