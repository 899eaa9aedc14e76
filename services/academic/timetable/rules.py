"""From weekly periods to dated lessons: pure, and right on the days when clocks change."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.academic.calendar.schemas import SpecialDay
from services.academic.timetable.schemas import Clash, Class, Lesson, Plan, PlannedLesson
from shared.contracts.school import BellPeriod, DayPeriod
from shared.identity import Caller, Role
from shared.problems import Conflict, Invalid, NotFound


class TimetableClash(Conflict):
    slug = "timetable-clash"
    title = "The teacher, room or class is at another lesson then"


class NotASchoolDay(Invalid):
    slug = "not-a-school-day"
    title = "The school does not meet then"


class School(msgspec.Struct, frozen=True, kw_only=True):
    """What turns a weekly plan into dates: time zone, bell schedule, holidays and special days."""

    time_zone: str
    bell_periods: Sequence[BellPeriod]
    days: Mapping[date, SpecialDay]
    grade_days: Mapping[date, Mapping[str, SpecialDay]]
    """By date and grade: what the calendar says to a grade instead of what it says to everybody."""


Slot = tuple[UUID, date, str]
"""What identifies a lesson of a plan: class, day and period."""

Booking = tuple[str, object]
"""What can be at one lesson at a time: ("class", id), ("teacher", id) or ("room", name)."""


def instant(day: date, at: time, time_zone: str) -> datetime:
    """A wall-clock time of a school as an instant.

    In the hour that an autumn change repeats, the first of the two is meant; a time that a spring change skips is
    moved on by as much as the clocks are (PEP 495).
    """
    zone = ZoneInfo(time_zone)
    return datetime.combine(day, at, zone).astimezone(ZoneInfo("UTC"))


def plan(
    school: School,
    classes: Iterable[Class],
    *,
    kept: Iterable[PlannedLesson] = (),
    settled: Collection[Slot] = (),
    changed: Mapping[Slot, PlannedLesson] = MappingProxyType({}),
    since: date | None = None,
) -> Plan:
    """The lessons that `classes` ask for, each teacher, room and class at one at a time.

    What is `kept` (begun, registered or added by hand) comes first; `settled` slots are not planned again, nor days
    before `since`. Lessons that were `changed` by hand keep that. Among the wanted those with a room of their own come
    first, then the earlier title wins, so that the same data always give the same plan. What cannot be is told as a
    clash, once for each lesson.
    """
    diary = Diary(kept)
    ordered = sorted(classes, key=lambda each: (each.title, each.class_id))
    wanted = [
        as_changed(lesson, changed.get(slot_of(lesson)))
        for each in ordered
        for lesson in lessons_of(school, each)
        if slot_of(lesson) not in settled and not (since and lesson.day < since)
    ]
    lessons: list[PlannedLesson] = []
    clashes: list[Clash] = []
    for lesson in sorted(wanted, key=lambda each: not each.has_own_room):
        clash = diary.clash_of(lesson)
        if clash is None:
            diary.enter(lesson)
            lessons.append(lesson)
        else:
            clashes.append(clash)
    return Plan(lessons=lessons, clashes=clashes)


def slot_of(lesson: PlannedLesson) -> Slot:
    return lesson.class_id, lesson.day, lesson.period


def as_changed(lesson: PlannedLesson, before: PlannedLesson | None) -> PlannedLesson:
    """A lesson with what was changed of it by hand: its room, and whether it takes place."""
    if before is None:
        return lesson
    room = before.room if before.has_own_room else lesson.room
    return msgspec.structs.replace(
        lesson, room=room, has_own_room=before.has_own_room, is_cancelled=before.is_cancelled
    )


def lessons_of(school: School, wanted: Class) -> Iterator[PlannedLesson]:
    """Every lesson that one class asks for, in order of time."""
    for day in days_of(wanted):
        for bell in bells_of(school, day, wanted.grades):
            if bell.period in wanted.periods:
                yield lesson_at(school, wanted, day, bell)


def day_of(school: School, day: date, grades: Sequence[str]) -> SpecialDay | None:
    """What the calendar says of a day to a class of these grades; None when it is as its weekday says (ADR 0708).

    That is what it says to the grades, if it says the same to each of them; else what it says to everybody.
    """
    to_grades = school.grade_days.get(day, {})
    own = [to_grades[grade] for grade in grades if grade in to_grades]
    if own and len(own) == len(grades) and all(is_same_day(each, own[0]) for each in own):
        return own[0]
    return school.days.get(day)


def is_same_day(one: SpecialDay, other: SpecialDay) -> bool:
    """Whether lessons are held alike on both, however they are called."""
    return (one.kind, one.periods) == (other.kind, other.periods)


def bells_of(school: School, day: date, grades: Sequence[str]) -> Sequence[BellPeriod | DayPeriod]:
    """The bells of a day: none on a holiday, its own on a special day, otherwise those of its weekday."""
    special = day_of(school, day, grades)
    if special is not None and special.kind == "holiday":
        return ()
    if special is not None and special.periods is not None:
        return special.periods
    return [bell for bell in school.bell_periods if bell.weekday == day.isoweekday()]


def days_of(wanted: Class) -> list[date]:
    """The days of all terms of a class, each once."""
    days = {
        term.starts_on + timedelta(days=number)
        for term in wanted.terms
        for number in range((term.ends_on - term.starts_on).days + 1)
    }
    return sorted(days)


def lesson_at(school: School, wanted: Class, day: date, bell: BellPeriod | DayPeriod) -> PlannedLesson:
    return PlannedLesson(
        class_id=wanted.class_id,
        title=wanted.title,
        day=day,
        period=bell.period,
        starts_at=instant(day, bell.starts_at, school.time_zone),
        ends_at=instant(day, bell.ends_at, school.time_zone),
        room=wanted.room,
        teacher_ids=frozenset(
            spell.teacher_id
            for spell in wanted.teachers
            if spell.starts_on <= day and (spell.ends_on is None or day <= spell.ends_on)
        ),
    )


def bell_period(school: School, day: date, period: str, grades: Sequence[str]) -> BellPeriod | DayPeriod:
    """When a period of a day is for a class. Raises NotASchoolDay for a holiday, or a day without such a period."""
    special = day_of(school, day, grades)
    if special is not None and special.kind == "holiday":
        raise NotASchoolDay(f"{day} is a holiday: {special.title}.")
    for bell in bells_of(school, day, grades):
        if bell.period == period:
            return bell
    has_bells = special is not None and special.periods is not None
    raise NotASchoolDay(f"The bell schedule has no period {period!r} on {day if has_bells else f'{day:%A}s'}.")


class Diary:
    """Who and what is taken when. A cancelled lesson takes nothing and nobody."""

    def __init__(self, lessons: Iterable[PlannedLesson] = ()) -> None:
        self._taken: dict[tuple[Booking, date], list[PlannedLesson]] = {}
        for lesson in lessons:
            self.enter(lesson)

    def enter(self, lesson: PlannedLesson) -> None:
        for booking in bookings(lesson):
            self._taken.setdefault((booking, lesson.day), []).append(lesson)

    def clash_of(self, lesson: PlannedLesson) -> Clash | None:
        """The first clash of a lesson with those entered."""
        for booking in bookings(lesson):
            for other in self._taken.get((booking, lesson.day), ()):
                if overlap(lesson, other):
                    return Clash(
                        kind=booking[0],
                        class_id=lesson.class_id,
                        other_class_id=other.class_id,
                        day=lesson.day,
                        period=lesson.period,
                    )
        return None


def bookings(lesson: PlannedLesson) -> Iterator[Booking]:
    if lesson.is_cancelled:
        return
    yield ("class", lesson.class_id)
    yield from (("teacher", teacher_id) for teacher_id in sorted(lesson.teacher_ids))
    if lesson.room is not None:
        yield ("room", lesson.room)


def overlap(one: PlannedLesson, other: PlannedLesson) -> bool:
    """Whether two lessons share an instant; one may begin as the other ends."""
    return one.starts_at < other.ends_at and other.starts_at < one.ends_at


def clash_detail(title: str, room: str | None, teacher_ids: Sequence[UUID], other: Lesson) -> str:
    """Says what is taken, and names the other lesson in local time: `other` carries the school's offset."""
    if set(teacher_ids) & set(other.teacher_ids):
        taken = "its teacher is"
    elif room is not None and room == other.room:
        taken = f"the room {room} is"
    else:
        taken = "the class is"
    when = f"{other.day} from {other.starts_at:%H:%M} to {other.ends_at:%H:%M}"
    return f"{title} cannot be then: {taken} at {other.class_title} on {when}."


def require_own_lesson(caller: Caller, lesson: Lesson | None) -> Lesson:
    """The lesson whose register the caller may see and take: its teachers' and the office's. Raises NotFound."""
    if lesson is None or (caller.role != Role.SCHOOL_ADMIN and caller.person not in lesson.teacher_ids):
        raise NotFound
    return lesson
