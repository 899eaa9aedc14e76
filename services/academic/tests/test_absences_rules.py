"""Which lessons a report covers, and what that makes of a day: pure, for every zone and every clock change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.academic.absences import rules
from services.academic.absences.schemas import NewAbsenceReport
from services.academic.attendance.rules import DEFAULT_CODES, day_of, suggested_code
from services.academic.attendance.schemas import AttendanceCode, CountedLesson
from services.academic.explanations.rules import covering, covers
from services.academic.explanations.schemas import Explanation
from services.academic.timetable.rules import instant
from shared.ids import new_id

ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]
TODAY = date(2026, 9, 14)

days = st.dates(date(2024, 1, 1), date(2030, 12, 31))
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
zones = st.sampled_from(ZONES)


def an_explanation(first: date, last: date, starts_at: time | None = None, ends_at: time | None = None) -> Explanation:
    return Explanation(
        absence_report_id=new_id(),
        student_id=new_id(),
        kind="absence",
        starts_on=first,
        ends_on=last,
        starts_at=starts_at,
        ends_at=ends_at,
    )


@given(first=days, length=st.integers(0, 59), day=days, at=times, zone=zones)
def test_whole_days_cover_each_lesson_of_these_days_and_no_other(
    first: date, length: int, day: date, at: time, zone: str
) -> None:
    explanation = an_explanation(first, first + timedelta(days=length))

    covered = covers(explanation, day=day, starts_at=instant(day, at, zone), time_zone=zone)

    assert covered is (0 <= (day - first).days <= length)


@given(day=days, at=times, starts_at=st.none() | times, ends_at=st.none() | times, zone=zones)
def test_part_of_a_day_is_read_off_the_schools_wall_clock(
    day: date, at: time, starts_at: time | None, ends_at: time | None, zone: str
) -> None:
    begins = instant(day, at, zone)
    shown = begins.astimezone(ZoneInfo(zone)).time()

    covered = covers(an_explanation(day, day, starts_at, ends_at), day=day, starts_at=begins, time_zone=zone)

    assert covered is ((starts_at or time.min) <= shown and (ends_at is None or shown < ends_at))


@given(day=days, at=times, cut=times, zone=zones)
def test_two_halves_of_a_day_cover_each_lesson_once(day: date, at: time, cut: time, zone: str) -> None:
    begins = instant(day, at, zone)
    halves = [an_explanation(day, day, None, cut), an_explanation(day, day, cut, None)]

    assert sum(covers(half, day=day, starts_at=begins, time_zone=zone) for half in halves) == 1


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1)], ids=["spring", "autumn"])
def test_a_lesson_keeps_its_cover_when_clocks_change(day: date) -> None:
    until_ten = an_explanation(day, day, None, time(10))

    covered = [
        covers(until_ten, day=day, starts_at=instant(day, at, "America/New_York"), time_zone="America/New_York")
        for at in (time(8), time(9, 59), time(10))
    ]

    assert covered == [True, True, False]


def test_another_students_explanation_covers_nothing() -> None:
    explanation = an_explanation(TODAY, TODAY)
    begins = instant(TODAY, time(8), "UTC")

    own = covering([explanation], explanation.student_id, day=TODAY, starts_at=begins, time_zone="UTC")

    assert own is explanation
    assert covering([explanation], new_id(), day=TODAY, starts_at=begins, time_zone="UTC") is None


marks = st.sampled_from([(None, False), ("present", False), ("late", False), ("absent", True), ("absent", False)])


def lessons_of(marked: list[tuple[tuple[str | None, bool], bool]]) -> list[CountedLesson]:
    return [
        CountedLesson(
            lesson_id=new_id(),
            class_title=f"Lesson {number}",
            period=str(number),
            starts_at=datetime(2026, 9, 14, 8, tzinfo=UTC) + timedelta(hours=number),
            ends_at=datetime(2026, 9, 14, 9, tzinfo=UTC) + timedelta(hours=number),
            code=kind and kind[0].upper(),
            kind=kind,  # pyright: ignore[reportArgumentType]
            is_alerting=None if kind is None else is_alerting,
            minutes_late=5 if kind == "late" else None,
            is_explained=is_explained,
        )
        for number, ((kind, is_alerting), is_explained) in enumerate(marked)
    ]


@given(st.lists(st.tuples(st.just(("excused", False)), st.booleans()), min_size=1, max_size=8))
def test_a_prefilled_mark_excuses_exactly_what_is_explained(
    marked: list[tuple[tuple[str | None, bool], bool]],
) -> None:
    lessons = lessons_of(marked)

    by_hand = day_of(lessons)
    prefilled = day_of(msgspec.structs.replace(each, is_prefilled=True) for each in lessons)

    missed = tuple(each.class_title for each in lessons if not each.is_explained)
    assert (by_hand.status, by_hand.missed_lessons) == ("excused", ())
    assert (prefilled.status, prefilled.missed_lessons) == ("absent" if missed else "excused", missed)


@given(st.lists(st.tuples(marks, st.booleans()), max_size=8))
def test_only_what_nobody_explained_is_unexplained(marked: list[tuple[tuple[str | None, bool], bool]]) -> None:
    lessons = lessons_of(marked)

    day = day_of(lessons)

    missed = tuple(each.class_title for each in lessons if each.is_alerting and not each.is_explained)
    away = {each.class_title for each in lessons if each.kind in {"absent", "excused"}}
    assert day.missed_lessons == missed
    assert day.is_unexplained_absence is bool(missed)
    assert set(day.explained_lessons) == away - set(missed)


@given(st.lists(st.tuples(marks, st.booleans()), max_size=8))
def test_an_explanation_changes_nothing_but_alerting_marks(
    marked: list[tuple[tuple[str | None, bool], bool]],
) -> None:
    unalerting = [(mark, is_explained) for mark, is_explained in marked if not mark[1]]
    plain = [msgspec.structs.replace(each, is_explained=False) for each in lessons_of(unalerting)]

    assert day_of(lessons_of(unalerting)) == day_of(plain)


def test_a_day_missed_and_explained_is_excused() -> None:
    assert day_of(lessons_of([(("absent", True), True), (("absent", True), True)])).status == "excused"
    assert day_of(lessons_of([(("absent", True), True), (("absent", True), False)])).status == "absent"
    assert day_of(lessons_of([(("absent", False), True)])).status == "absent"


def a_code(
    code: str, kind: str = "excused", *, suggested_for: str | None = None, is_active: bool = True
) -> AttendanceCode:
    return AttendanceCode(
        code=code,
        title=code,
        kind=kind,  # pyright: ignore[reportArgumentType]
        is_alerting=False,
        statutory_code=None,
        is_active=is_active,
        suggested_for=suggested_for,  # pyright: ignore[reportArgumentType]
    )


@pytest.mark.parametrize(
    ("codes", "absence", "leave"),
    [
        ([], None, None),
        ([a_code("A", "absent"), a_code("P", "present")], None, None),
        ([a_code("I"), a_code("E")], "E", "E"),
        ([a_code("I", suggested_for="absence"), a_code("E")], "I", "E"),
        ([a_code("I", suggested_for="absence")], "I", "I"),
        ([a_code("I", suggested_for="absence", is_active=False), a_code("Z")], "Z", "Z"),
        ([a_code("H", suggested_for="leave"), a_code("I", suggested_for="absence"), a_code("X")], "I", "H"),
    ],
    ids=["none", "nothing excuses", "by name", "chosen", "only one", "out of use", "one each"],
)
def test_the_suggested_code_is_the_schools_choice(
    codes: list[AttendanceCode], absence: str | None, leave: str | None
) -> None:
    for ordered in (codes, codes[::-1]):
        assert (suggested_code("absence", ordered), suggested_code("leave", ordered)) == (absence, leave)


def test_a_new_school_has_a_code_to_suggest() -> None:
    assert suggested_code("absence", DEFAULT_CODES) == "E"


def a_report(first: int, last: int, kind: str = "absence", **parts: time) -> NewAbsenceReport:
    return NewAbsenceReport(
        student_id=new_id(),
        kind=kind,  # pyright: ignore[reportArgumentType]
        starts_on=TODAY + timedelta(days=first),
        ends_on=TODAY + timedelta(days=last),
        reason="Ill",
        **parts,
    )


@pytest.mark.parametrize(
    ("new", "guardian", "office"),
    [
        (a_report(0, 0), True, True),
        (a_report(0, 59), True, True),
        (a_report(0, 60), False, False),
        (a_report(1, 0), False, False),
        (a_report(-14, 0), True, True),
        (a_report(-15, -15), False, True),
        (a_report(-60, -60), False, True),
        (a_report(-61, -61), False, False),
        (a_report(366, 366), True, True),
        (a_report(366, 367), False, False),
        (a_report(-1, 0, "leave"), False, True),
        (a_report(0, 0, "leave"), True, True),
        (a_report(0, 0, starts_at=time(9)), True, True),
        (a_report(0, 0, starts_at=time(9), ends_at=time(9)), False, False),
        (a_report(0, 0, starts_at=time(9), ends_at=time(8)), False, False),
        (a_report(0, 1, ends_at=time(9)), False, False),
    ],
    ids=lambda value: (
        f"{value.kind} {value.starts_on} {value.ends_on} {value.starts_at}"
        if isinstance(value, NewAbsenceReport)
        else str(value)
    ),
)
def test_which_days_can_be_reported(new: NewAbsenceReport, guardian: bool, office: bool) -> None:
    assert can_report(new, by_office=False) is guardian
    assert can_report(new, by_office=True) is office


def can_report(new: NewAbsenceReport, *, by_office: bool) -> bool:
    try:
        rules.require_days(new, today=TODAY, by_office=by_office)
    except rules.UnreportableDays:
        return False
    return True


@given(first=st.dates(), last=st.dates(), today=days, kind=st.sampled_from(["absence", "leave"]), office=st.booleans())
def test_no_date_breaks_the_rule_of_days(first: date, last: date, today: date, kind: str, office: bool) -> None:
    new = NewAbsenceReport(student_id=new_id(), kind=kind, starts_on=first, ends_on=last, reason="x")  # pyright: ignore[reportArgumentType]

    try:
        rules.require_days(new, today=today, by_office=office)
    except rules.UnreportableDays:
        return

    assert 0 <= (last - first).days < rules.MAX_DAYS
