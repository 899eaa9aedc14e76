"""What the office reads of a report that waits, and a guardian of its answer."""

from typing import Final

from services.notification.wording import Text, shortened, written_span
from shared.contracts.academic import AbsenceReportChanged

KINDS: Final = {"absence": "absence", "leave": "request for leave"}
OUTCOMES: Final = {"accepted": "accepted", "refused": "refused"}
LONGEST_ANSWER: Final = 1000


def awaiting(name: str, report: AbsenceReportChanged) -> Text:
    return Text(
        title=f"{name}: {KINDS[report.kind]} to decide",
        body=f"A {KINDS[report.kind]} was reported for {name}, {written_span(report.starts_on, report.ends_on)}.",
    )


def answered(name: str, report: AbsenceReportChanged) -> Text:
    outcome = OUTCOMES[report.state]
    told = f"The school has {outcome} your {KINDS[report.kind]} for {name}, "
    answer = f" It says: {shortened(report.answer, LONGEST_ANSWER)}" if report.answer else ""
    return Text(
        title=f"{name}: {KINDS[report.kind]} {outcome}",
        body=f"{told}{written_span(report.starts_on, report.ends_on)}.{answer}",
    )
