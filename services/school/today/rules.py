"""What the facts of a day come to at a moment of it, and in which order lessons are shown."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.school.today.schemas import (
    DayName,
    Facts,
    LessonsAt,
    LessonTaught,
    OfficeDay,
    OfficeFacts,
    OwnLesson,
    Registers,
    RegisterState,
    Today,
)

QUARTER_S = 15 * 60
LACKING: Final[Collection[RegisterState]] = ("missing", "incomplete")


def quarter_of(now: datetime) -> int:
    """A number that changes with the day at every school: in each time zone midnight is at a quarter of an hour."""
    return int(now.timestamp()) // QUARTER_S


def is_holiday(name: DayName | None) -> bool:
    return name is not None and name.kind == "holiday"


def today_of(facts: Facts, *, unread_messages: int | None, now: datetime) -> Today:
    zone = ZoneInfo(facts.time_zone)
    title = facts.name.title if facts.name else None
    lessons = None
    if facts.taught is not None:
        lessons = missing_first(own_lesson(each, zone, now=now) for each in facts.taught)
    return Today(
        day=facts.day,
        time_zone=facts.time_zone,
        holiday=title if is_holiday(facts.name) else None,
        special_day=None if is_holiday(facts.name) else title,
        turn=facts.turn,
        grade_days=facts.grade_days,
        office=office_day(facts.office, now=now) if facts.office else None,
        lessons=lessons,
        students=facts.students,
        unread_messages=unread_messages,
    )


def office_day(facts: OfficeFacts, *, now: datetime) -> OfficeDay:
    return OfficeDay(
        people=facts.people,
        attendance=facts.attendance,
        registers=registers(facts.lessons, now=now),
        unreached=facts.unreached,
        pending=facts.pending,
    )


def registers(lessons: Sequence[LessonsAt], *, now: datetime) -> Registers:
    begun = [each for each in lessons if each.starts_at <= now]
    later = [each for each in lessons if each.starts_at > now]
    return Registers(
        lessons=sum(each.saved + each.incomplete + each.unsaved + each.empty for each in lessons),
        saved=sum(each.saved for each in lessons),
        incomplete=sum(each.incomplete for each in lessons),
        missing=sum(each.unsaved for each in begun),
        to_come=sum(each.unsaved + each.empty for each in later),
        not_needed=sum(each.empty for each in begun),
    )


def own_lesson(taught: LessonTaught, zone: ZoneInfo, *, now: datetime) -> OwnLesson:
    return OwnLesson(
        lesson_id=taught.lesson_id,
        class_id=taught.class_id,
        class_title=taught.class_title,
        starts_at=taught.starts_at.astimezone(zone),
        ends_at=taught.ends_at.astimezone(zone),
        is_cancelled=taught.is_cancelled,
        students=taught.students,
        register=register_state(taught, now=now),
        saved_at=taught.saved_at.astimezone(zone) if taught.saved_at else None,
    )


def register_state(lesson: LessonTaught, *, now: datetime) -> RegisterState:
    if lesson.saved_at is not None:
        return "incomplete" if lesson.is_incomplete else "saved"
    if lesson.is_cancelled:
        return "not_needed"
    if lesson.starts_at > now:
        return "to_come"
    return "missing" if lesson.students else "not_needed"


def missing_first(lessons: Iterable[OwnLesson]) -> list[OwnLesson]:
    """Otherwise in order of time."""
    return sorted(lessons, key=lambda each: (each.register not in LACKING, each.starts_at, each.lesson_id))
