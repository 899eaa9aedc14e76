"""Taking a register: marks are added, the days they touch derived anew, and what changed is told."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.academic.attendance import queries, rules
from services.academic.attendance.schemas import (
    AttendanceCode,
    AttendanceCodeChange,
    CountedLesson,
    Mark,
    MarkOfStudent,
    Prefill,
    Register,
    RegisterLine,
    RegisterRequest,
    StudentDay,
)
from services.academic.calendar import queries as calendar
from services.academic.explanations import queries as explanations
from services.academic.explanations import rules as explaining
from services.academic.timetable import queries as timetable
from services.academic.timetable.rules import require_own_lesson
from services.academic.timetable.schemas import Lesson
from shared import clock
from shared.contracts.academic import AttendanceDayChanged, RegisterSaved
from shared.database import Database, Reader, Tx
from shared.identity import Caller
from shared.outbox import Event, publish, publish_all


async def add_default_codes(tx: Tx, school_id: UUID) -> None:
    """The codes that a school begins with; those it has stay as it made them."""
    await queries.add_codes(tx, school_id=school_id, codes=rules.DEFAULT_CODES)


async def save_code(database: Database, school_id: UUID, code: str, change: AttendanceCodeChange) -> AttendanceCode:
    """Add or change a code; marks that were made with it keep what it meant then.
    Raises AlertingPresence, UnexcusedSuggestion.
    """
    rules.require_absence(change)
    rules.require_suggestible(change)
    async with database.transaction(school_id=school_id) as tx:
        await queries.save_code(tx, school_id=school_id, code=code, change=change)
    return AttendanceCode(code=code, **msgspec.structs.asdict(change))


async def take_register(
    database: Database, caller: Caller, lesson_id: UUID, request: RegisterRequest, *, now: datetime
) -> Register:
    """Save the register of a lesson and tell whose day it changed.

    Raises NotFound for a lesson that the caller does not teach, StaleRegister with the register as it now is,
    LessonNotYet, LessonCancelled, LessonOnHoliday, UnreadableRegister, ReasonNeeded, NobodyMarked. Saving what stands
    there already changes nothing.
    """
    school_id, user_id = caller.school, caller.user_id
    async with database.transaction(school_id=school_id) as tx:
        lesson = require_own_lesson(caller, await _held(tx, school_id, lesson_id))
        await _require_day(tx, school_id, lesson, now=now)
        version = await queries.lock_register(tx, school_id=school_id, lesson_id=lesson.id, user_id=user_id, now=now)
        register = await register_of(tx, school_id, lesson)
        if version != request.version:
            raise rules.StaleRegister(
                f"You began from version {request.version}; it is at {version}. Look at `current` and save again.",
                current=msgspec.to_builtins(register),
            )
        new_marks = rules.marks_to_add(
            request,
            roll=[line.student_id for line in register.lines],
            current={line.student_id: line.mark for line in register.lines if line.mark},
            codes={code.code: code for code in await queries.codes(tx, school_id=school_id)},
            prefilled={line.student_id: line.prefill.code for line in register.lines if line.prefill},
        )
        marked = {new.student_id for new in new_marks}
        unmarked = sum(line.mark is None and line.student_id not in marked for line in register.lines)
        rules.require_somebody(unmarked, of=len(register.lines))
        if new_marks or version == 0:
            saved = queries.Saved(
                version=version + 1, is_complete=not unmarked, user_id=user_id, reason=request.reason, now=now
            )
            await _save(tx, school_id, lesson, new_marks, saved)
        return await register_of(tx, school_id, lesson)


async def _require_day(tx: Tx, school_id: UUID, lesson: Lesson, *, now: datetime) -> None:
    """What was saved before the day became a holiday may still be corrected."""
    zone = await calendar.time_zone_of(tx, school_id=school_id)
    is_new = lesson.register_version == 0
    holiday = await timetable.holiday_of_lesson(tx, school_id=school_id, lesson_id=lesson.id) if is_new else None
    today = clock.school_day(now, zone)
    rules.require_day(lesson.day, today=today, is_cancelled=lesson.is_cancelled, holiday=holiday)


async def _held(tx: Tx, school_id: UUID, lesson_id: UUID) -> Lesson | None:
    """The lesson, held against who cancels it. Planning makes anew only what has no register, and what it made
    meanwhile is held by the first save itself, through the foreign key.
    """
    held = await timetable.hold_lesson(tx, school_id=school_id, lesson_id=lesson_id)
    return held or await timetable.lesson(tx, school_id=school_id, lesson_id=lesson_id)


async def _save(tx: Tx, school_id: UUID, lesson: Lesson, marks: Sequence[rules.NewMark], saved: queries.Saved) -> None:
    await queries.save_register(tx, school_id=school_id, lesson_id=lesson.id, saved=saved)
    await queries.add_marks(tx, school_id=school_id, lesson_id=lesson.id, day=lesson.day, marks=marks, saved=saved)
    await _tell(tx, school_id, lesson, saved)
    student_ids = [new.student_id for new in marks]
    await derive_days(tx, school_id, student_ids, lesson.day, user_id=saved.user_id, now=saved.now)


async def _tell(tx: Tx, school_id: UUID, lesson: Lesson, saved: queries.Saved) -> None:
    counts = await queries.mark_counts(tx, school_id=school_id, lesson_id=lesson.id)
    event = RegisterSaved(
        lesson_id=lesson.id,
        day=lesson.day,
        saved_at=saved.now,
        is_complete=saved.is_complete,
        **msgspec.structs.asdict(counts),
    )
    await publish(tx, event, school_id=school_id, subject=str(lesson.id), version=saved.version)


async def derive_days(
    tx: Tx, school_id: UUID, student_ids: Sequence[UUID], day: date, *, user_id: UUID, now: datetime
) -> None:
    """Derive the day of each student from all marks of that day and what explains them; publish those that changed.

    Marks and reports are read under the lock of the day: of two who change both at once, the second sees the first.
    """
    await queries.lock_days(tx, school_id=school_id, student_ids=student_ids, day=day)
    lessons = await lessons_of(tx, school_id, student_ids, day)
    derived = {student_id: rules.day_of(lessons[student_id]) for student_id in student_ids}
    changed = await queries.save_days(tx, school_id=school_id, day=day, days=list(derived.items()))
    events = [
        Event(
            data=AttendanceDayChanged(
                student_id=each.student_id,
                day=day,
                status=derived[each.student_id].status,
                is_unexplained_absence=derived[each.student_id].is_unexplained_absence,
                lessons=list(derived[each.student_id].missed_lessons),
                changed_at=now,
                changed_by=user_id,
                marked_by=list(derived[each.student_id].marked_by),
                explained_lessons=list(derived[each.student_id].explained_lessons),
            ),
            subject=f"{each.student_id}/{day}",
            version=each.version,
        )
        for each in changed
    ]
    await publish_all(tx, events, school_id=school_id)


async def derive_days_of_lesson(
    tx: Tx, school_id: UUID, lesson_id: UUID, day: date, *, user_id: UUID, now: datetime
) -> None:
    """Derive again the day of everybody with a mark in a lesson: it was cancelled, or takes place after all.

    The lesson must be locked: a register that is being saved holds it, so its marks are found here, or wait for this.
    """
    marks = await queries.current_marks(tx, school_id=school_id, lesson_id=lesson_id)
    await derive_days(tx, school_id, [mark.student_id for mark in marks], day, user_id=user_id, now=now)


async def derive_days_of_student(
    tx: Tx, school_id: UUID, student_id: UUID, first: date, last: date, *, user_id: UUID, now: datetime
) -> None:
    """Derive again what stands in the registers of one student from `first` to `last`, both included."""
    if last < first:
        return
    await queries.lock_days_of_student(tx, school_id=school_id, student_id=student_id, first=first, last=last)
    days = await queries.marked_days(tx, school_id=school_id, student_id=student_id, first=first, last=last)
    for day in days:
        await derive_days(tx, school_id, [student_id], day, user_id=user_id, now=now)


async def derive_days_of_grades(tx: Tx, school_id: UUID, grades: Sequence[str], day: date, *, now: datetime) -> None:
    """Derive again what stands in the registers of whole grades: the calendar lets them off that day, or no longer.

    The event names who marked a student last, for the calendar's does not tell who changed it.
    """
    await queries.lock_days_of_grades(tx, school_id=school_id, grades=grades, day=day)
    students: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for each in await queries.marked_of_grades(tx, school_id=school_id, grades=grades, day=day):
        students[each.recorded_by].append(each.student_id)
    for user_id, student_ids in students.items():
        await derive_days(tx, school_id, student_ids, day, user_id=user_id, now=now)


async def lessons_of(
    reader: Reader, school_id: UUID, student_ids: Sequence[UUID], day: date
) -> Mapping[UUID, Sequence[CountedLesson]]:
    """The lessons of each student's day with their marks, and whether somebody explained an absence from them."""
    lessons = await queries.marked_lessons(reader, school_id=school_id, student_ids=student_ids, day=day)
    known = await explanations.explanations(reader, school_id=school_id, student_ids=student_ids, day=day)
    if not known:
        return lessons
    zone = await calendar.time_zone_of(reader, school_id=school_id)
    return {
        student_id: [
            msgspec.structs.replace(
                each,
                is_explained=each.is_explained
                or explaining.covering(known, student_id, day=day, starts_at=each.starts_at, time_zone=zone)
                is not None,
            )
            for each in own
        ]
        for student_id, own in lessons.items()
    }


async def prefills(
    reader: Reader, school_id: UUID, student_ids: Sequence[UUID], lesson: Lesson
) -> Mapping[UUID, Prefill | None]:
    """What absence reports, and days that their own grade has off, suggest for these students in this lesson."""
    if not student_ids:
        return {}
    known = await explanations.explanations(reader, school_id=school_id, student_ids=student_ids, day=lesson.day)
    off = await queries.students_off(reader, school_id=school_id, student_ids=student_ids, lesson_id=lesson.id)
    if not known and not off:
        return {}
    zone = await calendar.time_zone_of(reader, school_id=school_id)
    codes = await queries.codes(reader, school_id=school_id)
    return {
        student_id: rules.prefill(
            explaining.covering(known, student_id, day=lesson.day, starts_at=lesson.starts_at, time_zone=zone),
            codes,
            is_off=student_id in off,
        )
        for student_id in student_ids
    }


async def register_of(reader: Reader, school_id: UUID, lesson: Lesson, *, as_of: datetime | None = None) -> Register:
    """The register of a lesson: everyone on the roll that day, and who was marked before leaving it.

    `as_of` shows the marks as they were made by that instant; whether one has lapsed is told only without it.
    """
    state = await queries.register(reader, school_id=school_id, lesson_id=lesson.id, as_of=as_of)
    marks = {
        mark.student_id: mark
        for mark in await queries.current_marks(reader, school_id=school_id, lesson_id=lesson.id, as_of=as_of)
    }
    roll = await queries.roll(
        reader, school_id=school_id, class_id=lesson.class_id, day=lesson.day, marked_ids=list(marks)
    )
    earlier = {
        mark.student_id: mark.code
        for mark in await queries.earlier_marks(
            reader,
            school_id=school_id,
            student_ids=[row.student_id for row in roll],
            day=lesson.day,
            starts_at=lesson.starts_at,
        )
    }
    student_ids = [row.student_id for row in roll]
    suggested = await prefills(reader, school_id, student_ids if as_of is None else [], lesson)
    lapsed = await _lapsed(reader, school_id, marks.values() if as_of is None else [], lesson)
    return Register(
        lesson_id=lesson.id,
        class_id=lesson.class_id,
        day=lesson.day,
        version=state.version,
        saved_at=state.saved_at,
        lines=[
            RegisterLine(
                student_id=row.student_id,
                given_name=row.given_name,
                family_name=row.family_name,
                mark=_mark(marks.get(row.student_id), has_lapsed=row.student_id in lapsed),
                earlier_today=earlier.get(row.student_id),
                prefill=suggested.get(row.student_id),
            )
            for row in roll
        ],
    )


def _mark(mark: MarkOfStudent | None, *, has_lapsed: bool) -> Mark | None:
    return None if mark is None else rules.shown_mark(mark, has_lapsed=has_lapsed)


async def _lapsed(reader: Reader, school_id: UUID, marks: Iterable[MarkOfStudent], lesson: Lesson) -> set[UUID]:
    """The students with a prefilled mark whose absence from this lesson nothing explains any more."""
    student_ids = [mark.student_id for mark in marks if mark.is_prefilled]
    if not student_ids:
        return set()
    lessons = await lessons_of(reader, school_id, student_ids, lesson.day)
    return {
        student_id
        for student_id, own in lessons.items()
        if any(each.lesson_id == lesson.id and not each.is_explained for each in own)
    }


async def student_day(reader: Reader, school_id: UUID, student_id: UUID, day: date, *, time_zone: str) -> StudentDay:
    """A student's lessons of one day with their marks, in local time, and what the day amounts to."""
    lessons = await lessons_of(reader, school_id, [student_id], day)
    own = lessons[student_id]
    shown = [rules.as_shown(each, ZoneInfo(time_zone)) for each in own]
    return StudentDay(student_id=student_id, day=day, status=rules.day_of(own).status, lessons=shown)
