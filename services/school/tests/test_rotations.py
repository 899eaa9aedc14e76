"""Weeks or days that take turns: whose turn it is, what rings then, and how the others hear of it."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.school.rotations import rules
from services.school.rotations.schemas import Rotation, Turn
from services.school.tests.days import SchoolDay
from services.school.tests.factories import House, School, pointers
from shared.contracts.school import AcademicSession, CalendarDay
from shared.identity import Role
from shared.ids import new_id

MONDAY = date(2026, 9, 7)
A_AND_B = [
    {"name": "A", "periods": [{"period": "A1", "starts_at": "17:00:00", "ends_at": "17:45:00"}]},
    {"name": "B", "periods": [{"weekday": 1, "period": "B1", "starts_at": "18:00:00", "ends_at": "18:45:00"}]},
]
WEEKS: dict[str, Any] = {"kind": "weeks", "starts_on": "2026-09-07", "turns": A_AND_B}


async def save(school: School, **changed: Any) -> Any:
    return await school.send("PUT", "/rotation", {**WEEKS, **changed})


def told(school: School) -> list[CalendarDay]:
    return school.calendars()[-1][1].calendar_days


def rung(day: CalendarDay) -> list[str]:
    return [each.period for each in day.periods or ()]


def days_of(count: int, *, since: date = MONDAY) -> list[date]:
    return [since + timedelta(days=each) for each in range(count)]


def term(starts_on: date, ends_on: date) -> AcademicSession:
    return AcademicSession(
        academic_session_id=new_id(), title="Autumn", kind="term", starts_on=starts_on, ends_on=ends_on
    )


def rotation(kind: Any = "weeks", names: str = "AB", **changed: Any) -> Rotation:
    turns = [Turn(name=name, periods=[]) for name in names]
    return Rotation(kind=kind, starts_on=changed.pop("starts_on", MONDAY), turns=turns, **changed)


def turns_of(kept: Rotation, *, until: date, holidays: Any = ()) -> str:
    """The names of the turns, day by day."""
    return "".join(rules.turns_of(kept, [term(MONDAY, until)], holidays).values())


# -- Whose turn it is.


def test_weeks_take_turns() -> None:
    assert turns_of(rotation(names="ABC"), until=MONDAY + timedelta(days=27)) == "AAAAABBBBBCCCCCAAAAA"


def test_days_take_turns_whatever_their_weekday() -> None:
    assert turns_of(rotation("days", "123"), until=MONDAY + timedelta(days=11)) == "1231231231"


def test_a_holiday_leaves_its_turn_to_the_next_day_or_loses_it() -> None:
    until, off = MONDAY + timedelta(days=4), [MONDAY + timedelta(days=1)]

    assert turns_of(rotation("days", "123"), until=until, holidays=off) == "1231"
    assert turns_of(rotation("days", "123", skips_days_off=False), until=until, holidays=off) == "1312"


def test_a_week_off_leaves_its_turn_to_the_next_week_or_loses_it() -> None:
    until, off = MONDAY + timedelta(days=18), days_of(5, since=MONDAY + timedelta(days=7))

    assert turns_of(rotation(), until=until, holidays=off) == "AAAAABBBBB"
    assert turns_of(rotation(skips_days_off=False), until=until, holidays=off) == "AAAAAAAAAA"


def test_a_week_with_one_day_of_school_is_a_week() -> None:
    off = days_of(4, since=MONDAY + timedelta(days=7))

    assert turns_of(rotation(), until=MONDAY + timedelta(days=18), holidays=off) == "AAAAABAAAAA"


def test_vacations_between_terms_are_no_school() -> None:
    terms = [term(MONDAY, MONDAY + timedelta(days=4)), term(MONDAY + timedelta(days=21), MONDAY + timedelta(days=25))]

    assert "".join(rules.turns_of(rotation(), terms, []).values()) == "AAAAABBBBB"
    assert "".join(rules.turns_of(rotation(skips_days_off=False), terms, []).values()) == "AAAAABBBBB"
    assert "".join(rules.turns_of(rotation("days", "ABC"), terms, []).values()) == "ABCABCABCA"


def test_before_it_begins_nobody_has_a_turn() -> None:
    wednesday = MONDAY + timedelta(days=2)

    found = rules.turns_of(rotation(starts_on=wednesday), [term(MONDAY, MONDAY + timedelta(days=11))], [])

    assert min(found) == wednesday
    assert "".join(found.values()) == "AAABBBBB"


def test_a_school_may_meet_on_other_days() -> None:
    found = rules.turns_of(rotation(weekdays=[7, 1]), [term(MONDAY, MONDAY + timedelta(days=13))], [])

    assert [day.isoweekday() for day in found] == [1, 7, 1, 7]


def test_so_many_days_are_told_and_no_more() -> None:
    found = rules.turns_of(rotation(weekdays=list(range(1, 8))), [term(MONDAY, MONDAY + timedelta(days=5000))], [])

    assert len(found) == rules.MAX_DAYS


@given(st.sets(st.integers(0, 60)), st.integers(2, 6), st.sampled_from(["weeks", "days"]), st.booleans())
def test_each_school_day_has_one_turn_and_turns_keep_their_order(
    off: set[int], count: int, kind: Any, skips: bool
) -> None:
    holidays = [MONDAY + timedelta(days=each) for each in off]
    names = "ABCDEF"[:count]
    found = rules.turns_of(
        rotation(kind, names, skips_days_off=skips), [term(MONDAY, MONDAY + timedelta(days=60))], holidays
    )

    assert list(found) == [day for day in days_of(61) if day.isoweekday() <= 5 and day not in holidays]
    if kind == "days" and skips:
        assert "".join(found.values()) == (names * 61)[: len(found)]
    by_week: dict[date, set[str]] = {}
    for day, name in found.items():
        by_week.setdefault(day - timedelta(days=day.weekday()), set()).add(name)
    if kind == "weeks":
        assert all(len(of_week) == 1 for of_week in by_week.values())
    if kind == "weeks" and skips:
        assert "".join(name for of_week in by_week.values() for name in of_week) == (names * 9)[: len(by_week)]


# -- What is saved, shown and told.


async def test_a_rotation_is_saved_shown_and_told_as_days_with_their_bells(school: School) -> None:
    usual = [each.period for each in school.calendars()[-1][1].bell_periods if each.weekday == 1]

    saved = await save(school)

    assert saved.status_code == 200, saved.text
    assert saved.json() == await school.get("/rotation", role=Role.STUDENT)
    assert (saved.json()["weekdays"], saved.json()["skips_days_off"]) == ([1, 2, 3, 4, 5], True)
    days = told(school)
    assert [str(each.day) for each in days][:6] == [f"2026-09-{day:02}" for day in (7, 8, 9, 10, 11, 14)]
    assert "".join(each.title for each in days).startswith("AAAAABBBBBAAAAABBBBB")
    assert str(days[-1].day) == "2026-12-18", "where the term ends"
    assert {each.kind for each in days} == {"special"}
    assert [rung(days[0]), rung(days[5]), rung(days[6])] == [[*usual, "A1"], [*usual, "B1"], usual]
    assert (await school.get("/calendar-days"))["items"] == []


async def test_whose_turn_a_day_is_comes_in_pages(school: School) -> None:
    await save(school)

    first = await school.get("/rotation-days?from=2026-09-10&to=2026-09-15&limit=3")
    second = await school.get(first["next"].removeprefix("/api/v1"))

    assert [(each["day"][-2:], each["turn"]) for each in first["items"]] == [("10", "A"), ("11", "A"), ("14", "B")]
    assert [(each["day"][-2:], each["turn"]) for each in second["items"]] == [("15", "B")]
    assert second["next"] is None


async def test_holidays_and_special_days_come_before_turns(school: School) -> None:
    await save(school)

    await school.send("PUT", "/calendar-days/2026-09-08", {"kind": "holiday", "title": "Off"})
    await school.send(
        "PUT", "/calendar-days/2026-09-09", {"kind": "special", "title": "Early", "closes_at": "10:10:00"}
    )
    await school.send("PUT", "/calendar-days/2026-09-10", {"kind": "special", "title": "Concert"})

    monday, tuesday, wednesday, thursday = told(school)[:4]
    assert [each.title for each in (monday, tuesday, wednesday, thursday)] == ["A", "Off", "Early", "Concert"]
    assert tuesday.periods is None
    assert rung(wednesday) == rung(monday)[: len(rung(wednesday))] != []
    assert rung(thursday) == rung(monday)


async def test_a_holiday_that_is_a_day_of_school_after_all_has_the_bells_of_its_turn(school: School) -> None:
    await school.send("PUT", "/bell-schedules", {"periods": []})
    await save(school)
    await school.send("PUT", "/calendar-days/2026-09-07", {"kind": "holiday", "title": "Storm"})

    early = await school.send(
        "PUT", "/calendar-days/2026-09-07", {"kind": "special", "title": "Early", "closes_at": "17:30:00"}
    )

    assert early.status_code == 200, early.text
    assert [each["period"] for each in early.json()["periods"]] == ["A1"]
    assert rung(told(school)[0]) == ["A1"]


async def test_an_early_close_that_is_refused_leaves_the_holiday(school: School) -> None:
    await save(school)
    await school.send("PUT", "/calendar-days/2026-09-07", {"kind": "holiday", "title": "Storm"})

    refused = await school.send(
        "PUT", "/calendar-days/2026-09-07", {"kind": "special", "title": "Early", "closes_at": "00:10:00"}
    )

    assert refused.status_code == 422
    assert (told(school)[0].kind, told(school)[0].title) == ("holiday", "Storm")
    assert [each["kind"] for each in (await school.get("/calendar-days"))["items"]] == ["holiday"]


async def test_an_early_close_cuts_what_takes_turns_too(school: School) -> None:
    await save(school)
    early = {"kind": "special", "title": "Early", "closes_at": "17:30:00"}

    of_all = (await school.send("PUT", "/calendar-days/2026-09-07", early)).json()
    of_grade = (await school.send("PUT", "/grade-days/2026-09-07", {"grade_days": [{**early, "grades": ["7"]}]})).json()

    last = {"period": "A1", "starts_at": "17:00:00", "ends_at": "17:30:00"}
    assert of_all["periods"][-1] == last
    assert of_grade["grade_days"][0]["periods"][-1] == last


async def test_a_new_holiday_moves_the_turns_of_the_days_after_it(school: School) -> None:
    await save(school, kind="days")
    assert "".join(each.title for each in told(school)[:4]) == "ABAB"

    await school.send("PUT", "/calendar-days/2026-09-08", {"kind": "holiday", "title": "-"})
    assert "".join(each.title for each in told(school)[:4]) == "A-BA"

    await school.send("DELETE", "/calendar-days/2026-09-08")
    assert "".join(each.title for each in told(school)[:4]) == "ABAB"


async def test_a_term_that_is_added_has_turns(school: School) -> None:
    await save(school)
    last = told(school)[-1]

    added = await a_term(school, "2027-01-11", "2027-01-15")

    assert added.status_code == 201, added.text
    assert last.title == "A"
    assert [(str(each.day), each.title) for each in told(school)[-5:]] == [
        (f"2027-01-{day}", "B") for day in range(11, 16)
    ]


async def a_term(school: School, starts_on: str, ends_on: str) -> Any:
    """In a year of its own."""
    dates = {"starts_on": starts_on, "ends_on": ends_on}
    year = await school.session(title="Year", **dates)
    return await school.session(title="Term", kind="term", parent_id=year.json()["academic_session_id"], **dates)


async def test_the_same_again_tells_nothing(school: School) -> None:
    await save(school, weekdays=[5, 1, 2, 3, 4, 1])
    version = school.calendars()[-1][0]

    again = await save(school)

    assert again.json()["weekdays"] == [1, 2, 3, 4, 5]
    assert school.calendars()[-1][0] == version


async def test_every_week_is_alike_again(school: School) -> None:
    assert (await school.send("GET", "/rotation")).status_code == 404
    await save(school)

    assert (await school.send("DELETE", "/rotation")).status_code == 204
    assert (await school.send("DELETE", "/rotation")).status_code == 404

    assert (await school.send("GET", "/rotation")).status_code == 404
    assert (await school.get("/rotation-days"))["items"] == []
    assert told(school) == []


def turn(name: str, *periods: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "periods": list(periods)}


LATE = {"period": "late", "starts_at": "17:00:00", "ends_at": "17:45:00"}
EARLY = {"period": "early", "starts_at": "09:00:00", "ends_at": "09:30:00"}


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"turns": [turn("A"), turn("B"), turn("A")]}, ["/turns/2/name"]),
        ({"turns": [turn("A"), turn("B", {**LATE, "ends_at": "17:00:00"})]}, ["/turns/1/periods/0/ends_at"]),
        ({"turns": [turn("A", {**LATE, "weekday": 6}), turn("B")]}, ["/turns/0/periods/0/weekday"]),
        ({"turns": [turn("A", LATE), turn("B", LATE, {**LATE, "period": "x"})]}, ["/turns/1/periods/1/starts_at"]),
        ({"turns": [turn("A", EARLY), turn("B")]}, ["/turns/0/periods/0/starts_at"]),
        ({"turns": [turn("A", {**LATE, "period": "1"}), turn("B")]}, ["/turns/0/periods/0/period"]),
        (
            {"turns": [turn("A", LATE, {**LATE, "starts_at": "19:00:00", "ends_at": "20:00:00"}), turn("B")]},
            ["/turns/0/periods/1/period"],
        ),
    ],
)
async def test_turns_that_cannot_be_are_refused(school: School, changed: dict[str, Any], wrong: list[str]) -> None:
    answer = await save(school, **changed)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-rotation")
    assert sorted(set(pointers(answer))) == wrong
    assert (await school.send("GET", "/rotation")).status_code == 404


@pytest.mark.parametrize(
    "changed",
    [
        {"turns": [turn("A")]},
        {"turns": [turn(str(each)) for each in range(21)]},
        {"turns": [turn(""), turn("B")]},
        {"turns": [turn("A\n"), turn("B")]},
        {"weekdays": []},
        {"weekdays": [0]},
        {"kind": "months"},
        {"starts_on": "2026-02-30"},
        {"turns": [turn("A", {**LATE, "weekday": 8}), turn("B")]},
        {"more": 1},
    ],
    ids=repr,
)
async def test_turns_that_cannot_be_read_are_refused(school: School, changed: dict[str, Any]) -> None:
    assert (await save(school, **changed)).status_code == 400


async def test_bells_that_leave_no_room_for_turns_are_refused(school: School) -> None:
    await save(school)

    period = {"period": "9", "weekday": 1, "starts_at": "17:30:00", "ends_at": "18:15:00"}
    answer = await school.send("PUT", "/bell-schedules", {"periods": [period]})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-bell-schedule")
    assert "/turns/0/periods/0" in answer.json()["errors"][0]["detail"]


async def test_rotations_saved_at_once_are_told_one_after_the_other(school: School) -> None:
    answers = await asyncio.gather(*(save(school, starts_on=f"2026-09-{day:02}") for day in range(7, 15)))

    assert {each.status_code for each in answers} == {200}
    assert [version for version, _ in school.calendars()] == list(range(1, len(school.calendars()) + 1))


async def test_another_schools_rotation_is_not_to_be_seen(house: House, school: School) -> None:
    await save(school)
    other = await house.school()

    assert (await other.send("GET", "/rotation")).status_code == 404
    assert (await other.get("/rotation-days"))["items"] == []
    assert (await other.send("DELETE", "/rotation")).status_code == 404
    assert (await save(other, kind="days")).status_code == 200
    assert (await school.get("/rotation"))["kind"] == "weeks"


async def test_everybody_sees_whose_turn_it_is_today(day: SchoolDay) -> None:
    monday = day.today - timedelta(days=day.today.weekday())
    assert (await day.shown(Role.TEACHER, new_id()))["turn"] is None
    assert (await a_term(day.school, str(monday), str(monday + timedelta(days=13)))).status_code == 201

    await save(day.school, starts_on=str(monday), weekdays=[1, 2, 3, 4, 5, 6, 7], turns=[turn("A"), turn("B")])

    shown = await day.shown(Role.TEACHER, new_id())
    assert (shown["turn"], shown["special_day"]) == ("A", None)
    assert (await day.shown(Role.GUARDIAN, new_id()))["turn"] == "A"
