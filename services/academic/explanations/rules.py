"""Which lessons an explanation covers. Pure, and right on the days when clocks change."""

from collections.abc import Iterable
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from services.academic.explanations.schemas import Explanation


def covers(explanation: Explanation, *, day: date, starts_at: datetime, time_zone: str) -> bool:
    """Whether a lesson of `day` that begins at `starts_at` is explained.

    Its beginning decides, for that is when the register is taken: who leaves in the middle was there, and who comes
    in the middle was not.
    """
    if not explanation.starts_on <= day <= explanation.ends_on:
        return False
    begins = starts_at.astimezone(ZoneInfo(time_zone)).time()
    is_after_start = explanation.starts_at is None or explanation.starts_at <= begins
    return is_after_start and (explanation.ends_at is None or begins < explanation.ends_at)


def covering(
    explanations: Iterable[Explanation], student_id: UUID, *, day: date, starts_at: datetime, time_zone: str
) -> Explanation | None:
    """The first of them that covers a student's lesson."""
    for each in explanations:
        if each.student_id == student_id and covers(each, day=day, starts_at=starts_at, time_zone=time_zone):
            return each
    return None
