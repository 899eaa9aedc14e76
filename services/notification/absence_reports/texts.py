"""What the office reads of a report that waits, and a guardian of its answer."""

from typing import Final

from services.notification.wording import Text, shortened, written_span
from shared.contracts.academic import AbsenceReportChanged

KINDS: Final = {"absence": "absence", "leave": "request for leave"}
OUTCOMES: Final = {"accepted": "accepted", "refused": "refused"}
LONGEST_ANSWER: Final = 1000


def awaiting(name: str, report: AbsenceReportChanged, locale: str) -> Text:
    days = written_span(report.starts_on, report.ends_on, locale)
    return Text(
        title=f"{name}: {KINDS[report.kind]} to decide",
        body=f"A {KINDS[report.kind]} was reported for {name}, {days}.",
    )


def answered(name: str, report: AbsenceReportChanged, locale: str) -> Text:
    outcome, days = OUTCOMES[report.state], written_span(report.starts_on, report.ends_on, locale)
    answer = f" It says: {shortened(report.answer, LONGEST_ANSWER)}" if report.answer else ""
    return Text(
        title=f"{name}: {KINDS[report.kind]} {outcome}",
        body=f"The school has {outcome} your {KINDS[report.kind]} for {name}, {days}.{answer}",
    )
