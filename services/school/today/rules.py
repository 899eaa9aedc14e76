"""What a lesson's register is like by now, and in which order lessons are shown."""

from collections.abc import Iterable
from datetime import datetime

from services.school.today.schemas import OwnLesson, RegisterState


def register_state(
    *, starts_at: datetime, saved_at: datetime | None, is_cancelled: bool, students: int, now: datetime
) -> RegisterState:
    if saved_at is not None:
        return "saved"
    if is_cancelled:
        return "not_needed"
    if starts_at > now:
        return "to_come"
    return "missing" if students else "not_needed"


def missing_first(lessons: Iterable[OwnLesson]) -> list[OwnLesson]:
    """Otherwise in order of time."""
    return sorted(lessons, key=lambda each: (each.register != "missing", each.starts_at, each.lesson_id))
