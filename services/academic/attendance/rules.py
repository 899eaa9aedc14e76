"""What may stand in a register, and what a day of marks amounts to. Pure: instants and rows come in as arguments."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.academic.attendance.schemas import (
    CODE_PATTERN,
    AttendanceCode,
    AttendanceCodeChange,
    AttendanceDay,
    CountedLesson,
    Mark,
    MarkedLesson,
    MarkOfStudent,
    Prefill,
    RegisterRequest,
)
from services.academic.explanations.schemas import Explanation, ReportKind
from shared.problems import BadRequest, Conflict, FieldError, Invalid, NotFound

CODE: Final = re.compile(CODE_PATTERN)
MAX_DAYS: Final = 400

ABSENT_SHARE: Final = 0.5
"""A student who misses at least this share of the day's marked minutes was absent that day."""

DEFAULT_CODES: Final = (
    AttendanceCode(code="P", title="Present", kind="present", is_alerting=False, statutory_code=None, is_active=True),
    AttendanceCode(
        code="A", title="Absent, not explained", kind="absent", is_alerting=True, statutory_code=None, is_active=True
    ),
    AttendanceCode(code="L", title="Late", kind="late", is_alerting=False, statutory_code=None, is_active=True),
    AttendanceCode(code="I", title="Ill", kind="excused", is_alerting=False, statutory_code=None, is_active=True),
    AttendanceCode(code="E", title="Excused", kind="excused", is_alerting=False, statutory_code=None, is_active=True),
)


class StaleRegister(Conflict):
    slug = "stale-register"
    title = "Somebody else saved this register in the meantime"


class LessonNotYet(Conflict):
    slug = "lesson-not-yet"
    title = "The day of this lesson has not come"


class LessonCancelled(Conflict):
    slug = "lesson-cancelled"
    title = "This lesson does not take place"


class LessonOnHoliday(Conflict):
    slug = "lesson-on-holiday"
    title = "The school is closed on the day of this lesson"


class NobodyMarked(Invalid):
    slug = "nobody-marked"
    title = "A register marks somebody"


class UnreadableRegister(Invalid):
    slug = "unreadable-register"
    title = "The register cannot be saved as it is"


class ReasonNeeded(Invalid):
    slug = "reason-needed"
    title = "A correction needs a reason"


class AlertingPresence(Invalid):
    slug = "alerting-presence"
    title = "Only an absence can alert guardians"


class UnexcusedSuggestion(Invalid):
    slug = "unexcused-suggestion"
    title = "Only a code that excuses can be suggested for a report"


class NewMark(msgspec.Struct, frozen=True, kw_only=True):
    student_id: UUID
    mark: Mark
    is_correction: bool


def marks_to_add(
    request: RegisterRequest,
    *,
    roll: Collection[UUID],
    current: Mapping[UUID, Mark],
    codes: Mapping[str, AttendanceCode],
    prefilled: Mapping[UUID, str | None] = MappingProxyType({}),
) -> list[NewMark]:
    """The marks that differ from the current ones, in the order of the roll.

    Students who have a mark and are not in the request keep it; of the others those that are `prefilled` get that
    code instead of the default one. Where the school has no code for it, who is said to be away is not marked as there
    by default, but left to the teacher. A prefilled mark that is saved again as it stands stays one: it is no word of
    theirs. Raises UnreadableRegister with every fault, ReasonNeeded when a mark changes without one.
    """
    wanted, errors = _wanted(request, set(roll), codes)
    if request.default_code is not None:
        default = _default(request.default_code, codes, errors)
        wanted = {**_by_default(default, roll, current, codes, prefilled), **wanted}
    if errors:
        raise UnreadableRegister("Nothing was saved.", errors=errors)
    added = [
        NewMark(student_id=student_id, mark=mark, is_correction=student_id in current)
        for student_id, mark in wanted.items()
        if mark is not None and not _stands(mark, current.get(student_id))
    ]
    if request.reason is None and any(new.is_correction for new in added):
        raise ReasonNeeded("Say in `reason` why marks are changed.", errors=[FieldError("/reason", "Needed here.")])
    return added


def _stands(mark: Mark, current: Mark | None) -> bool:
    if current is not None and current.is_prefilled:
        return mark.code == current.code
    return mark == current


def _wanted(
    request: RegisterRequest, known: set[UUID], codes: Mapping[str, AttendanceCode]
) -> tuple[dict[UUID, Mark | None], list[FieldError]]:
    wanted: dict[UUID, Mark | None] = {}
    errors: list[FieldError] = []
    for number, asked in enumerate(request.marks):
        fault = _fault(asked.student_id, known, wanted) or _code_fault(asked.code, asked.minutes_late, codes)
        if fault:
            place, reason = fault
            errors.append(FieldError(f"/marks/{number}/{place}", reason))
        else:
            wanted[asked.student_id] = _mark(codes[asked.code], asked.minutes_late)
    return wanted, errors


def _default(code: str, codes: Mapping[str, AttendanceCode], errors: list[FieldError]) -> Mark | None:
    fault = _code_fault(code, None, codes)
    if fault is None:
        return _mark(codes[code], None)
    errors.append(FieldError("/default_code", fault[1]))
    return None


def _by_default(
    default: Mark | None,
    roll: Collection[UUID],
    current: Mapping[UUID, Mark],
    codes: Mapping[str, AttendanceCode],
    prefilled: Mapping[UUID, str | None],
) -> dict[UUID, Mark | None]:
    if_away = None if default and default.kind == "present" else default
    of_code = {code: _prefilled(codes[code]) if code else if_away for code in prefilled.values()}
    return {
        student_id: of_code[prefilled[student_id]] if student_id in prefilled else default
        for student_id in roll
        if student_id not in current
    }


def _fault(student_id: UUID, known: set[UUID], wanted: Mapping[UUID, Mark | None]) -> tuple[str, str] | None:
    if student_id not in known:
        return "student_id", "Not a student of this class on that day."
    if student_id in wanted:
        return "student_id", "Marked twice."
    return None


def _code_fault(code: str, minutes_late: int | None, codes: Mapping[str, AttendanceCode]) -> tuple[str, str] | None:
    known = codes.get(code)
    if known is None or not known.is_active:
        usable = ", ".join(sorted(each.code for each in codes.values() if each.is_active))
        return "code", f"Not a code of this school; there are: {usable}."
    if known.kind == "late" and minutes_late is None:
        return "minutes_late", f"The code {code} needs the minutes."
    if known.kind != "late" and minutes_late is not None:
        return "minutes_late", f"The code {code} has no minutes."
    return None


def _mark(code: AttendanceCode, minutes_late: int | None) -> Mark:
    return Mark(code=code.code, kind=code.kind, is_alerting=code.is_alerting, minutes_late=minutes_late)


def _prefilled(code: AttendanceCode) -> Mark:
    return msgspec.structs.replace(_mark(code, None), is_prefilled=True)


def shown_mark(mark: MarkOfStudent, *, has_lapsed: bool) -> Mark:
    """The mark as it counts now: a prefilled one has lapsed once nothing explains the absence any more."""
    return Mark(
        code=mark.code,
        kind="absent" if has_lapsed else mark.kind,
        is_alerting=has_lapsed or mark.is_alerting,
        minutes_late=mark.minutes_late,
        is_prefilled=mark.is_prefilled,
    )


def require_absence(change: AttendanceCodeChange) -> None:
    """Raises AlertingPresence for a code that would alert guardians of a child who is there, or excused."""
    if change.is_alerting and change.kind != "absent":
        detail = f"A code that counts as {change.kind} cannot alert; `kind` must be `absent`."
        raise AlertingPresence(detail, errors=[FieldError("/is_alerting", detail)])


def require_suggestible(change: AttendanceCodeChange) -> None:
    """Raises UnexcusedSuggestion for a code that reports would suggest, and that excuses nothing."""
    if change.suggested_for is not None and change.kind != "excused":
        detail = f"A code that counts as {change.kind} cannot be suggested; `kind` must be `excused`."
        raise UnexcusedSuggestion(detail, errors=[FieldError("/suggested_for", detail)])


def suggested_code(kind: ReportKind | None, codes: Iterable[AttendanceCode]) -> str | None:
    """The code for an explained absence: the school's choice for that kind of report, or its first one that excuses."""
    excusing = sorted(
        (each for each in codes if each.kind == "excused" and each.is_active),
        key=lambda each: (each.suggested_for != kind, each.suggested_for is not None, each.code),
    )
    return excusing[0].code if excusing else None


def prefill(explanation: Explanation | None, codes: Iterable[AttendanceCode], *, is_off: bool) -> Prefill | None:
    """A report says more than that the student's grade `is_off`."""
    if explanation is not None:
        code = suggested_code(explanation.kind, codes)
        return Prefill(code=code, absence_report_id=explanation.absence_report_id)
    return Prefill(code=suggested_code(None, codes), absence_report_id=None) if is_off else None


def require_day(day: date, *, today: date, is_cancelled: bool, holiday: str | None) -> None:
    """Raises LessonNotYet before the day of the lesson, LessonCancelled or LessonOnHoliday for one that does not take
    place.
    """
    if is_cancelled:
        raise LessonCancelled("Its register is closed.")
    if holiday is not None:
        raise LessonOnHoliday(f"{day} is a holiday: {holiday}.")
    if day > today:
        raise LessonNotYet(f"The lesson is on {day}; its register opens on that day.")


def day_of(lessons: Iterable[CountedLesson]) -> AttendanceDay:
    """What the marks of one day amount to. Unmarked lessons count for nothing.

    An alerting mark in a lesson that somebody explained counts as excused, whatever stands in the register, and a
    prefilled one in a lesson that nothing explains any more as an absence that alerts (ADR 0705).
    Absent (or excused) is who missed at least half of the marked minutes, minutes late included; excused, when
    nothing of it is unexplained. Otherwise late, when any lesson was begun late; otherwise present.
    """
    marked = sorted((_as_counted(each) for each in lessons if each.kind is not None), key=lambda each: each.starts_at)
    unexplained = [each for each in marked if each.is_alerting]
    if not marked:
        return AttendanceDay(status="unmarked", is_unexplained_absence=False, missed_lessons=())
    minutes = sum((_length(each) for each in marked), timedelta())
    missed = sum((_missed(each) for each in marked), timedelta())
    kinds = {each.kind for each in marked}
    if missed >= minutes * ABSENT_SHARE and kinds & {"absent", "excused"}:
        status = "absent" if "absent" in kinds else "excused"
    else:
        status = "late" if "late" in kinds else "present"
    return AttendanceDay(
        status=status,
        is_unexplained_absence=bool(unexplained),
        missed_lessons=tuple(each.class_title for each in unexplained),
        marked_by=tuple(sorted({each.recorded_by for each in unexplained if each.recorded_by is not None})),
        explained_lessons=tuple(
            each.class_title for each in marked if each.kind in {"absent", "excused"} and not each.is_alerting
        ),
    )


def as_shown(lesson: CountedLesson, time_zone: ZoneInfo) -> MarkedLesson:
    """In local time, without what is not to be shown."""
    counted = _as_it_stands(lesson)
    fields = {name: getattr(counted, name) for name in MarkedLesson.__struct_fields__}
    times = {name: fields[name].astimezone(time_zone) for name in ("starts_at", "ends_at")}
    return MarkedLesson(**(fields | times))


def _as_counted(lesson: CountedLesson) -> CountedLesson:
    lesson = _as_it_stands(lesson)
    if lesson.is_alerting and lesson.is_explained:
        return msgspec.structs.replace(lesson, kind="excused", is_alerting=False)
    return lesson


def _as_it_stands(lesson: CountedLesson) -> CountedLesson:
    if lesson.is_prefilled and not lesson.is_explained:
        return msgspec.structs.replace(lesson, kind="absent", is_alerting=True)
    return lesson


def _length(lesson: MarkedLesson) -> timedelta:
    return lesson.ends_at - lesson.starts_at


def _missed(lesson: MarkedLesson) -> timedelta:
    match lesson.kind:
        case "absent" | "excused":
            return _length(lesson)
        case "late":
            return min(_length(lesson), timedelta(minutes=lesson.minutes_late or 0))
        case _:
            return timedelta()


def require_somebody(unmarked: int, *, of: int) -> None:
    """Raises NobodyMarked when a register would leave all of its roll without a mark."""
    if of and unmarked == of:
        raise NobodyMarked("Nothing was saved: mark somebody, or say in `default_code` what the others are.")


def require_code(code: str) -> str:
    """The text of a code out of a path. Raises NotFound for what can be no code."""
    if not CODE.fullmatch(code):
        raise NotFound("A code is 1 to 8 capitals, digits or / \\ # -.")
    return code


def require_range(starts_on: date | None, ends_on: date | None, *, today: date) -> tuple[date, date]:
    """The days asked for, 31 up to today unless told. Raises BadRequest for more than MAX_DAYS, or none."""
    last = ends_on or today
    first = starts_on or date.fromordinal(max(1, last.toordinal() - 30))
    if not 0 <= (last - first).days < MAX_DAYS:
        detail = f"From {first} to {last} are not between 1 and {MAX_DAYS} days."
        raise BadRequest(detail, errors=[FieldError("query/from", detail)])
    return first, last
