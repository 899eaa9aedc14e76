"""What is remembered of classes and timetables, and the tables whose writing ends that.

A list that is narrowed to the students of its caller is not among it: who may see them is asked anew each time.
"""

from datetime import date
from typing import Final
from uuid import UUID

from services.academic.calendar import queries as calendar
from shared import clock
from shared.cache import Cache, Cached
from shared.database import Reader

ZONE: Final = Cached(cache="school", tables=frozenset({"school"}))
COURSES: Final = Cached(cache="class_list", tables=frozenset({"course"}))
CLASSES: Final = Cached(cache="class_list", tables=frozenset({"school_class", "class_term", "enrolment"}))
MEMBERS: Final = Cached(cache="class_list", tables=frozenset({"enrolment", "student", "teacher"}), is_personal=True)
LESSONS: Final = Cached(
    cache="timetable",
    tables=frozenset({"lesson", "lesson_teacher", "school_class", "enrolment", "calendar_day", "grade_day", "school"}),
)
"""Without the registers: they are saved all morning, and their versions are read each time."""

KINDS: Final = (ZONE, COURSES, CLASSES, MEMBERS, LESSONS)


async def time_zone_of(cache: Cache, reader: Reader, *, school_id: UUID) -> str:
    """The school's IANA zone, as `calendar.time_zone_of` says it."""

    async def read() -> str:
        return await calendar.time_zone_of(reader, school_id=school_id)

    return await cache.value(ZONE, of=school_id, key="time_zone", type_=str, read=read)


async def today(cache: Cache, reader: Reader, *, school_id: UUID) -> date:
    """The calendar day that it is at the school."""
    return clock.school_day(clock.now(), await time_zone_of(cache, reader, school_id=school_id))
