"""Who hears of a guardian's report: the office while it waits, its guardian when it is answered.

Only the newest state of a report stands in inboxes, in whichever order its changes are heard of.
"""

from collections.abc import Sequence
from uuid import UUID

from services.notification.absence_reports import queries, texts
from services.notification.notices.actions import Herald
from services.notification.notices.schemas import Addressee, Notice
from services.notification.roster import queries as roster
from services.notification.wording import UNKNOWN_NAME
from shared import telemetry
from shared.contracts.academic import AbsenceReportChanged
from shared.database import Tx


async def take_in(tx: Tx, herald: Herald, school_id: UUID, report: AbsenceReportChanged, *, version: int) -> None:
    if not await queries.take_in(tx, school_id, report.absence_report_id, version=version):
        return
    await herald.withdraw(tx, school_id, report.absence_report_id, "absence_report", "absence_answer")
    notices = _awaiting if report.state == "pending" else _answered
    await herald.tell(tx, school_id, await notices(tx, school_id, report, version))


async def _awaiting(tx: Tx, school_id: UUID, report: AbsenceReportChanged, version: int) -> Sequence[Notice]:
    """Leave waits for the office; an absence explains by itself, and stands in the list of the office."""
    if report.kind != "leave":
        return []
    office = await roster.office(tx, school_id, but=report.changed_by)
    school = await roster.school_settings(tx, school_id)
    names = await roster.student_names(tx, school_id, [report.student_id])
    return [
        Notice(
            category="absence_report",
            idempotency_key=f"absence-report:{report.absence_report_id}:{version}",
            subject_id=report.absence_report_id,
            text=texts.awaiting(names.get(report.student_id, "A student"), report, school.locale),
            deep_link=f"/absence-reports/{report.absence_report_id}",
            traceparent=telemetry.traceparent(),
            addressees=[Addressee(recipient_id=each, role="school_admin") for each in office],
        )
    ]


async def _answered(tx: Tx, school_id: UUID, report: AbsenceReportChanged, version: int) -> Sequence[Notice]:
    """Nothing for who answered it themselves, such as a guardian who took it back."""
    if report.guardian_id is None or report.state == "withdrawn":
        return []
    if await roster.is_login_of(tx, school_id, person_id=report.guardian_id, user_id=report.changed_by):
        return []
    school = await roster.school_settings(tx, school_id)
    names = await roster.student_names(tx, school_id, [report.student_id])
    return [
        Notice(
            category="absence_answer",
            idempotency_key=f"absence-report:{report.absence_report_id}:{version}",
            subject_id=report.absence_report_id,
            text=texts.answered(names.get(report.student_id, UNKNOWN_NAME), report, school.locale),
            deep_link=f"/students/{report.student_id}/absence-reports/{report.absence_report_id}",
            traceparent=telemetry.traceparent(),
            addressees=[Addressee(recipient_id=report.guardian_id, role="guardian", student_ids=[report.student_id])],
        )
    ]
