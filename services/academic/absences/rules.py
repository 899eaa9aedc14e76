"""What may be reported, for which days, and what may become of it. Pure."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

import msgspec

from services.academic.absences.schemas import AbsenceReport, Decision, NewAbsenceReport
from shared.identity import Caller, Role
from shared.problems import Conflict, FieldError, Forbidden, Invalid

MAX_DAYS: Final = 60
"""More is not an absence but a leaving."""
GUARDIAN_BACK_DAYS: Final = 14
OFFICE_BACK_DAYS: Final = 60
AHEAD_DAYS: Final = 366


class UnreportableDays(Invalid):
    slug = "unreportable-days"
    title = "An absence cannot be reported for these days"


class StaleReport(Conflict):
    slug = "stale-absence-report"
    title = "The report was changed in the meantime"


class ReportClosed(Conflict):
    slug = "absence-report-closed"
    title = "Nothing can be done about this report any more"


def require_days(new: NewAbsenceReport, *, today: date, by_office: bool) -> None:
    """Raises UnreportableDays with the field that is at fault."""
    if fault := _fault_of_days(new, today, by_office=by_office) or _fault_of_times(new):
        field, detail = fault
        raise UnreportableDays(detail, errors=[FieldError(f"/{field}", detail)])


def _fault_of_days(new: NewAbsenceReport, today: date, *, by_office: bool) -> tuple[str, str] | None:
    back = OFFICE_BACK_DAYS if by_office else GUARDIAN_BACK_DAYS
    if not 0 <= (new.ends_on - new.starts_on).days < MAX_DAYS:
        return "ends_on", f"From {new.starts_on} to {new.ends_on} are not between 1 and {MAX_DAYS} days."
    if new.kind == "leave" and not by_office and new.starts_on < today:
        return "starts_on", "Leave is asked for in advance; report an absence instead."
    if (today - new.starts_on).days > back:
        return "starts_on", f"More than {back} days ago."
    if (new.ends_on - today).days > AHEAD_DAYS:
        return "ends_on", f"More than {AHEAD_DAYS} days ahead."
    return None


def _fault_of_times(new: NewAbsenceReport) -> tuple[str, str] | None:
    if new.starts_at is None and new.ends_at is None:
        return None
    if new.starts_on != new.ends_on:
        return "ends_on", "Only one day can be reported in part."
    if new.starts_at is not None and new.ends_at is not None and new.ends_at <= new.starts_at:
        return "ends_at", f"Not after {new.starts_at:%H:%M}."
    return None


def decided(before: AbsenceReport, decision: Decision) -> AbsenceReport:
    """The report as the office wants it; the same as before when nothing changes. Raises StaleReport, ReportClosed."""
    require_version(before, decision.version)
    if before.state == "withdrawn":
        raise ReportClosed("The guardian withdrew it.")
    return _changed(before, msgspec.structs.replace(before, state=decision.state, answer=decision.answer))


def withdrawn(before: AbsenceReport, caller: Caller, *, version: int, today: date) -> AbsenceReport:
    """The report taken back by the guardian who made it. Raises Forbidden, StaleReport, ReportClosed."""
    if before.guardian_id is None or before.guardian_id != caller.person:
        raise Forbidden("Only who reported it can withdraw it.")
    require_version(before, version)
    if before.state in {"refused", "withdrawn"}:
        raise ReportClosed(f"It is {before.state} already.")
    if before.state == "accepted" and before.starts_on <= today:
        raise ReportClosed("It has begun; ask the office.")
    return _changed(before, msgspec.structs.replace(before, state="withdrawn"))


def require_version(before: AbsenceReport, version: int) -> None:
    if version != before.version:
        raise StaleReport(
            f"You began from version {version}; it is at {before.version}. Look at `current` and decide again.",
            current=msgspec.to_builtins(before),
        )


def _changed(before: AbsenceReport, after: AbsenceReport) -> AbsenceReport:
    return before if after == before else msgspec.structs.replace(after, version=before.version + 1)


def as_seen_by(report: AbsenceReport, caller: Caller) -> AbsenceReport:
    """Why a child is away is between the one who said it and the office, not for the other parent."""
    if caller.role == Role.SCHOOL_ADMIN or (report.guardian_id is not None and report.guardian_id == caller.person):
        return report
    return msgspec.structs.replace(report, reason=None, answer=None)


def days_to_derive(report: AbsenceReport, *, today: date) -> tuple[date, date]:
    """The days whose registers the report may explain: later ones have none yet.

    Tomorrow too: at midnight a register of the new day may be saved by one who does not see the report yet.
    """
    return report.starts_on, min(report.ends_on, today + timedelta(days=1))


def scope_of(caller: Caller) -> UUID | None:
    """The guardian to whose children a list is narrowed; None for the office."""
    return None if caller.role == Role.SCHOOL_ADMIN else caller.person
