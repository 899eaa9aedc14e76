"""SQL over absence reports and their history."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, LiteralString
from uuid import UUID

import msgspec

from services.academic.absences.schemas import AbsenceReport, RecordedDecision
from shared.database import Reader, Tx

LAST_ID: Final = UUID(int=2**128 - 1)


class ReportFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is None does not narrow."""

    guardian_id: UUID | None = None
    """Only the children whom this guardian may see on `today`."""
    today: date
    state: str | None = None
    day: date | None = None
    student_id: UUID | None = None


SELECT_REPORT: LiteralString = """
SELECT absence_report.id, absence_report.student_id, student.given_name AS student_given_name,
       student.family_name AS student_family_name, absence_report.guardian_id, absence_report.kind,
       absence_report.starts_on, absence_report.ends_on, absence_report.starts_at, absence_report.ends_at,
       absence_report.reason, absence_report.state, absence_report.answer, absence_report.version,
       absence_report.reported_at
FROM absence_report
JOIN student ON student.school_id = absence_report.school_id AND student.id = absence_report.student_id
WHERE absence_report.school_id = %(school_id)s
"""

REPORT = SELECT_REPORT + "AND absence_report.id = %(report_id)s"

LOCK_REPORT = SELECT_REPORT + "AND absence_report.id = %(report_id)s\nFOR UPDATE OF absence_report"


async def report(reader: Reader, *, school_id: UUID, report_id: UUID) -> AbsenceReport | None:
    return await reader.one(AbsenceReport, REPORT, school_id=school_id, report_id=report_id)


async def lock_report(tx: Tx, *, school_id: UUID, report_id: UUID) -> AbsenceReport | None:
    """The report, which nobody else changes until the transaction ends."""
    return await tx.one(AbsenceReport, LOCK_REPORT, school_id=school_id, report_id=report_id)


# Newest first; uses the key, absence_report_student for one student or a guardian's children, absence_report_state.
# What is not asked for is not in the statement, so that the planner may begin from what is.
NEWEST_FIRST: LiteralString = """
ORDER BY absence_report.id DESC
LIMIT %(limit)s
"""
NARROWED_BY: Final[Mapping[str, LiteralString]] = {
    "state": "AND absence_report.state = %(state)s",
    "day": "AND absence_report.starts_on <= %(day)s AND absence_report.ends_on >= %(day)s",
    "student_id": "AND absence_report.student_id = %(student_id)s",
    "guardian_id": """
AND absence_report.student_id IN (
    SELECT guardian_link.student_id
    FROM guardian_link
    WHERE guardian_link.school_id = %(school_id)s
    AND guardian_link.guardian_id = %(guardian_id)s
    AND guardian_link.is_active AND guardian_link.may_see
    AND (guardian_link.starts_on IS NULL OR guardian_link.starts_on <= %(today)s)
    AND (guardian_link.ends_on IS NULL OR guardian_link.ends_on >= %(today)s)
)
""",
}


async def reports(
    reader: Reader, *, school_id: UUID, only: ReportFilter, before_id: UUID, limit: int
) -> list[AbsenceReport]:
    asked = msgspec.structs.asdict(only)
    narrowed: list[LiteralString] = [narrowing for name, narrowing in NARROWED_BY.items() if asked[name] is not None]
    statement = "\n".join((SELECT_REPORT, "AND absence_report.id < %(before_id)s", *narrowed, NEWEST_FIRST))
    return await reader.all(AbsenceReport, statement, school_id=school_id, before_id=before_id, limit=limit, **asked)


ADD_REPORT = """
INSERT INTO absence_report (
    school_id, id, student_id, guardian_id, kind, starts_on, ends_on, starts_at, ends_at, reason, state, version,
    reported_at
)
VALUES (
    %(school_id)s, %(id)s, %(student_id)s, %(guardian_id)s, %(kind)s, %(starts_on)s, %(ends_on)s, %(starts_at)s,
    %(ends_at)s, %(reason)s, %(state)s, %(version)s, %(reported_at)s
)
"""


async def add_report(tx: Tx, *, school_id: UUID, report: AbsenceReport) -> None:
    await tx.execute(ADD_REPORT, school_id=school_id, **msgspec.structs.asdict(report))


SAVE_REPORT = """
UPDATE absence_report
SET state = %(state)s, answer = %(answer)s, version = %(version)s
WHERE school_id = %(school_id)s
AND id = %(id)s
"""


async def save_report(tx: Tx, *, school_id: UUID, report: AbsenceReport) -> None:
    """The report must be locked."""
    await tx.execute(
        SAVE_REPORT,
        school_id=school_id,
        id=report.id,
        state=report.state,
        answer=report.answer,
        version=report.version,
    )


RECORD_CHANGE = """
INSERT INTO absence_report_change (school_id, absence_report_id, version, state, answer, changed_at, changed_by)
VALUES (%(school_id)s, %(id)s, %(version)s, %(state)s, %(answer)s, %(now)s, %(user_id)s)
"""


async def record_change(tx: Tx, *, school_id: UUID, report: AbsenceReport, user_id: UUID, now: datetime) -> None:
    await tx.execute(
        RECORD_CHANGE,
        school_id=school_id,
        id=report.id,
        version=report.version,
        state=report.state,
        answer=report.answer,
        now=now,
        user_id=user_id,
    )


HISTORY = """
SELECT version, state, answer, changed_at, changed_by
FROM absence_report_change
WHERE school_id = %(school_id)s
AND absence_report_id = %(report_id)s
ORDER BY version
LIMIT 1000
"""


async def history(reader: Reader, *, school_id: UUID, report_id: UUID) -> list[RecordedDecision]:
    return await reader.all(RecordedDecision, HISTORY, school_id=school_id, report_id=report_id)
