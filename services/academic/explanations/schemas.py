"""Times for which somebody has explained that a student is not there."""

from datetime import date, time
from typing import Literal
from uuid import UUID

import msgspec

ReportKind = Literal["absence", "leave"]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """An absence report in effect: the days from `starts_on` to `ends_on`, both included, or a part of one day."""

    absence_report_id: UUID
    student_id: UUID
    kind: ReportKind
    starts_on: date
    ends_on: date
    starts_at: time | None
    """In the school's local time; None is from the day's beginning."""
    ends_at: time | None
    """The first minute that is not explained any more; None is until the day's end."""
