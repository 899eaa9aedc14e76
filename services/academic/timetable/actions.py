"""Planning the lessons of a school, and changing single ones by hand."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog
from msgspec import UNSET
from psycopg.errors import ExclusionViolation, UniqueViolation

from services.academic.attendance.actions import derive_days_of_grades, derive_days_of_lesson
from services.academic.calendar import queries as calendar
from services.academic.calendar.actions import SavedCalendar
from services.academic.calendar.schemas import SpecialDay
from services.academic.missing_registers.queries import forget_notices
from services.academic.timetable import queries, rules
from services.academic.timetable.queries import LessonRow
from services.academic.timetable.schemas import (
    Clash,
    Class,
    Lesson,
    LessonChange,
    LessonsOfDay,
    NewLesson,
    Plan,
    PlannedLesson,
    TeacherSpell,
    Term,
)
from shared import clock
from shared.database import Database, Reader, Tx
from shared.identity import Caller
from shared.ids import new_id
from shared.problems import NotFound, PreconditionFailed

log = structlog.get_logger()

T = TypeVar("T")


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a planning changed."""

    added: int
    removed: int
    clashes: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a planning is to change."""

    added: list[LessonRow]
    removed: list[UUID]
    clashes: list[Clash]


async def plan_school(tx: Tx, school_id: UUID, *, now: datetime) -> Planned:
    """Make the lessons of a school follow its classes, terms, bell schedule, holidays and teachers.

    Left alone: what has a register, what was added by hand, and, from the first register on, what has begun; until
    then the school is still being set up, and its days so far follow too. What was changed by hand follows as well, and
    keeps its room and that it is cancelled. Doing it again changes nothing. Clashes do not stop it; they are kept and
    listed.
    """
    await queries.lock_timetable(tx, school_id=school_id)
    wanted = await wanted_changes(tx, school_id, now=now)
    while await meets_registers(tx, school_id, wanted.removed):
        wanted = await wanted_changes(tx, school_id, now=now)
    await queries.remove_lessons(tx, school_id=school_id, ids=wanted.removed)
    await queries.add_lessons(tx, school_id=school_id, rows=wanted.added)
    await queries.save_clashes(tx, school_id=school_id, clashes=wanted.clashes)
    planned = Planned(added=len(wanted.added), removed=len(wanted.removed), clashes=len(wanted.clashes))
    await queries.watch_lessons(tx, school_id=school_id, due_at=now)
    log.info("timetable_planned", added=planned.added, removed=planned.removed, clashes=planned.clashes)
    return planned


async def wanted_changes(tx: Tx, school_id: UUID, *, now: datetime) -> Wanted:
    """What turns the lessons that there are into those of the plan."""
    existing = await queries.lessons(tx, school_id=school_id)
    in_use = any(row.has_register for row in existing)
    today = await calendar.today(tx, school_id=school_id)
    kept = [row for row in existing if is_settled(row, now=now, today=today, in_use=in_use)]
    changed = [as_planned(row) for row in existing if row.has_own_room or row.is_cancelled]
    plan = rules.plan(
        await school_of(tx, school_id),
        await classes_of(tx, school_id),
        kept=[as_planned(row) for row in kept],
        settled={rules.slot_of(as_planned(row)) for row in kept},
        changed={rules.slot_of(each): each for each in changed},
        since=today if in_use else None,
    )
    added, removed = changes(plan, existing, {row.id for row in kept})
    clashes = [clash for clash in plan.clashes if clash.class_id != clash.other_class_id]
    return Wanted(added=added, removed=removed, clashes=clashes)


async def meets_registers(tx: Tx, school_id: UUID, lesson_ids: Sequence[UUID]) -> bool:
    """Lock lessons that are to be removed; whether the register of any was saved since they were read.

    Such a lesson is kept after all, which may change the rest of the plan: it gives no room or teacher away, and a
    school with its first register keeps what has begun. Who saves a register has one lesson in hand and waits for no
    other, so planning may come back for more.
    """
    await queries.lock_lessons(tx, school_id=school_id, ids=lesson_ids)
    return await queries.have_registers(tx, school_id=school_id, ids=lesson_ids)


async def follow_calendar(tx: Tx, school_id: UUID, saved: SavedCalendar, *, now: datetime) -> None:
    """What a new calendar brings: lessons planned by it, and days of registers judged by it."""
    await plan_school(tx, school_id, now=now)
    await judge_days_off(tx, school_id, saved, now=now)


async def judge_days_off(tx: Tx, school_id: UUID, saved: SavedCalendar, *, now: datetime) -> None:
    """Derive again the days of registers that a new calendar explains, or no longer does.

    A transaction that plans as well does all of that before, as a register that is being saved holds its lesson before
    the days of its students.
    """
    for day, grades in saved.days_off_to_judge.items():
        await derive_days_of_grades(tx, school_id, grades, day, now=now)


def is_settled(row: LessonRow, *, now: datetime, today: date, in_use: bool) -> bool:
    """Whether planning leaves a lesson alone. One of today that began with no teacher may still get one."""
    if row.has_register or row.origin == "manual":
        return True
    has_begun = row.day < today or (row.starts_at <= now and bool(row.teacher_ids))
    return in_use and has_begun


def changes(plan: Plan, existing: Sequence[LessonRow], kept: set[UUID]) -> tuple[list[LessonRow], list[UUID]]:
    """The lessons to add and those to remove; one that changes is removed and added again under its own id.

    A cancelled lesson that nothing asks for any more stays: were it asked for again, it would still be cancelled.
    """
    before = {rules.slot_of(as_planned(row)): row for row in existing}
    added: list[LessonRow] = []
    standing = kept | {row.id for row in existing if row.is_cancelled}
    for lesson in plan.lessons:
        row = before.get(rules.slot_of(lesson))
        if row is not None and as_planned(row) == lesson:
            standing.add(row.id)
        else:
            added.append(as_row(lesson, row))
    standing -= {row.id for row in added}
    return added, [row.id for row in existing if row.id not in standing]


async def school_of(tx: Tx, school_id: UUID) -> rules.School:
    grade_days: defaultdict[date, dict[str, SpecialDay]] = defaultdict(dict)
    for each in await calendar.grade_days(tx, school_id=school_id):
        grade_days[each.day][each.grade] = each
    return rules.School(
        time_zone=await calendar.time_zone_of(tx, school_id=school_id),
        bell_periods=await calendar.bell_periods(tx, school_id=school_id),
        days={each.day: each for each in await calendar.calendar_days(tx, school_id=school_id)},
        grade_days=grade_days,
    )


async def classes_of(tx: Tx, school_id: UUID) -> list[Class]:
    terms = grouped(
        (row.class_id, Term(row.starts_on, row.ends_on))
        for row in await queries.terms_of_classes(tx, school_id=school_id)
    )
    teachers = grouped(
        (row.class_id, TeacherSpell(row.teacher_id, row.starts_on, row.ends_on))
        for row in await queries.teachers_of_classes(tx, school_id=school_id)
    )
    return [
        Class(
            class_id=row.class_id,
            title=row.title,
            periods=tuple(row.periods),
            room=row.room,
            terms=terms[row.class_id],
            teachers=teachers[row.class_id],
            grades=tuple(row.grades),
        )
        for row in await queries.active_classes(tx, school_id=school_id)
    ]


def grouped(pairs: Iterable[tuple[UUID, T]]) -> defaultdict[UUID, tuple[T, ...]]:
    groups: defaultdict[UUID, tuple[T, ...]] = defaultdict(tuple)
    for key, value in pairs:
        groups[key] += (value,)
    return groups


def as_planned(row: LessonRow) -> PlannedLesson:
    return PlannedLesson(
        class_id=row.class_id,
        title=row.class_title,
        day=row.day,
        period=row.period,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        room=row.room,
        teacher_ids=frozenset(row.teacher_ids),
        has_own_room=row.has_own_room,
        is_cancelled=row.is_cancelled,
    )


def as_row(lesson: PlannedLesson, before: LessonRow | None) -> LessonRow:
    return LessonRow(
        id=before.id if before else new_id(),
        class_id=lesson.class_id,
        class_title=lesson.title,
        day=lesson.day,
        period=lesson.period,
        starts_at=lesson.starts_at,
        ends_at=lesson.ends_at,
        room=lesson.room,
        has_own_room=lesson.has_own_room,
        origin="planned",
        is_cancelled=lesson.is_cancelled,
        has_register=False,
        teacher_ids=sorted(lesson.teacher_ids),
        version=before.version + 1 if before else 1,
    )


async def add_lesson(database: Database, school_id: UUID, new: NewLesson) -> Lesson:
    """A lesson besides those of the plan, in a period of the bell schedule.

    Raises NotASchoolDay, NotFound for an unknown class, TimetableClash naming the lesson in its way.
    """
    async with database.transaction(school_id=school_id) as tx:
        await queries.lock_timetable(tx, school_id=school_id)
        wanted = next((each for each in await classes_of(tx, school_id) if each.class_id == new.class_id), None)
        if wanted is None:
            raise NotFound
        school = await school_of(tx, school_id)
        bell = rules.bell_period(school, new.day, new.period, wanted.grades)
        lesson = rules.lesson_at(school, msgspec.structs.replace(wanted, room=new.room), new.day, bell)
        row = msgspec.structs.replace(as_row(lesson, None), origin="manual")
        async with clash_told(tx, school_id, row, school.time_zone):
            await queries.add_lessons(tx, school_id=school_id, rows=[row])
        await queries.watch_lessons(tx, school_id=school_id, due_at=clock.now())
        return await local_lesson(tx, school_id, row.id, school.time_zone)


async def change_lesson(
    database: Database, caller: Caller, lesson_id: UUID, change: LessonChange, *, now: datetime
) -> Lesson:
    """Cancel a lesson, bring it back, or give it another room; what its register says counts while it takes place.

    Raises NotFound, PreconditionFailed for a stale version, NotASchoolDay for one to come that is brought back when the
    school does not meet, TimetableClash naming the lesson in its way.
    """
    school_id = caller.school
    async with database.transaction(school_id=school_id) as tx:
        await queries.lock_timetable(tx, school_id=school_id)
        before = await queries.lesson(tx, school_id=school_id, lesson_id=lesson_id)
        if before is None:
            raise NotFound
        if before.version != change.version:
            raise PreconditionFailed(f"The lesson is at version {before.version}.")
        after = msgspec.structs.replace(
            before,
            room=before.room if change.room is UNSET else change.room,
            is_cancelled=before.is_cancelled if change.is_cancelled is UNSET else change.is_cancelled,
        )
        if before.is_cancelled and not after.is_cancelled and before.starts_at > now:
            grades = await queries.grades_of_class(tx, school_id=school_id, class_id=before.class_id)
            rules.bell_period(await school_of(tx, school_id), before.day, before.period, grades)
        zone = await calendar.time_zone_of(tx, school_id=school_id)
        async with clash_told(tx, school_id, after, zone):
            await queries.change_lesson(
                tx, school_id=school_id, lesson_id=lesson_id, room=after.room, is_cancelled=after.is_cancelled
            )
        if before.is_cancelled and not after.is_cancelled:
            await forget_notices(tx, school_id=school_id, lesson_ids=[lesson_id])
        if after.is_cancelled != before.is_cancelled:
            await derive_days_of_lesson(tx, school_id, lesson_id, before.day, user_id=caller.user_id, now=now)
        await queries.watch_lessons(tx, school_id=school_id, due_at=now)
        return await local_lesson(tx, school_id, lesson_id, zone)


@asynccontextmanager
async def clash_told(tx: Tx, school_id: UUID, wanted: LessonRow | Lesson, time_zone: str) -> AsyncGenerator[None]:
    """Turns the database's refusal into a TimetableClash that names the other lesson."""
    try:
        async with tx.savepoint():
            yield
    except (ExclusionViolation, UniqueViolation):
        other = await queries.other_lesson(
            tx,
            school_id=school_id,
            lesson_id=wanted.id,
            class_id=wanted.class_id,
            starts_at=wanted.starts_at,
            ends_at=wanted.ends_at,
            room=wanted.room,
            teacher_ids=wanted.teacher_ids,
        )
        if other is None:
            raise rules.TimetableClash(
                "The class has a cancelled lesson in this period; bring that one back."
            ) from None
        local = localised(other, time_zone)
        raise rules.TimetableClash(
            rules.clash_detail(wanted.class_title, wanted.room, wanted.teacher_ids, local),
            lesson=msgspec.to_builtins(local),
        ) from None


async def lessons_of_day(
    reader: Reader,
    school_id: UUID,
    day: date,
    *,
    time_zone: str,
    teacher_id: UUID | None = None,
    student_id: UUID | None = None,
) -> LessonsOfDay:
    """A day's lessons in local time: of one teacher, of one student, or all."""
    lessons = await queries.lessons_of_day(
        reader, school_id=school_id, day=day, teacher_id=teacher_id, student_id=student_id
    )
    named = await calendar.name_of_day(reader, school_id=school_id, day=day)
    return LessonsOfDay(
        day=day,
        time_zone=time_zone,
        holiday=named.title if named and named.kind == "holiday" else None,
        special_day=named.title if named and named.kind == "special" else None,
        items=[localised(lesson, time_zone) for lesson in lessons],
        grade_days=await calendar.grade_day_names(reader, school_id=school_id, day=day),
    )


async def with_registers(reader: Reader, school_id: UUID, lessons: LessonsOfDay) -> LessonsOfDay:
    """The same lessons with the versions that their registers have now."""
    if not lessons.items:
        return lessons
    saved = await queries.register_versions(reader, school_id=school_id, lesson_ids=[each.id for each in lessons.items])
    items = [msgspec.structs.replace(each, register_version=saved.get(each.id, 0)) for each in lessons.items]
    return msgspec.structs.replace(lessons, items=items)


async def local_lesson(reader: Reader, school_id: UUID, lesson_id: UUID, time_zone: str) -> Lesson:
    """Raises NotFound."""
    lesson = await queries.lesson(reader, school_id=school_id, lesson_id=lesson_id)
    if lesson is None:
        raise NotFound
    return localised(lesson, time_zone)


def localised(lesson: Lesson, time_zone: str) -> Lesson:
    """The same instants, written with the school's offset."""
    zone = ZoneInfo(time_zone)
    return msgspec.structs.replace(
        lesson, starts_at=lesson.starts_at.astimezone(zone), ends_at=lesson.ends_at.astimezone(zone)
    )
