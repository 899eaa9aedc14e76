"""Days that some grades have instead of the school's: saved by the date, one for each grade, beside everybody's."""

import asyncio
from typing import Any

import psycopg
import pytest

from services.school.calendar import rules
from services.school.settings import Settings
from services.school.tests.factories import House, School, pointers
from shared.contracts.school import GradeDay
from shared.ids import new_id

DATE = "/grade-days/2026-12-03"
HOLIDAY = {"kind": "holiday", "title": "Trip"}
SPECIAL = {"kind": "special", "title": "Exams"}
EXAM = [{"period": "exam", "starts_at": "09:00:00", "ends_at": "12:00:00"}]


async def save(school: School, *days: dict[str, Any], path: str = DATE) -> Any:
    return await school.send("PUT", path, {"grade_days": list(days)})


def told(school: School) -> list[GradeDay]:
    """What the last calendar told of grades."""
    return school.calendars()[-1][1].grade_days


async def test_two_grades_have_their_own_day_on_a_date_and_everybody_theirs(school: School) -> None:
    await school.send("PUT", "/calendar-days/2026-12-03", {**SPECIAL, "title": "Concert"})

    saved = await save(school, {"grades": ["12"], **SPECIAL, "periods": EXAM}, {"grades": ["10", "09"], **HOLIDAY})

    assert saved.status_code == 200, saved.text
    nothing = {"day": "2026-12-03", "opens_at": None, "closes_at": None, "periods": None}
    assert saved.json() == {
        "day": "2026-12-03",
        "grade_days": [
            {**nothing, **HOLIDAY, "grades": ["09", "10"]},
            {**nothing, **SPECIAL, "grades": ["12"], "periods": EXAM},
        ],
    }
    assert (await school.get("/grade-days"))["items"] == [saved.json()]
    assert [each["title"] for each in (await school.get("/calendar-days"))["items"]] == ["Concert"]
    assert [(each.grades, each.kind, each.title) for each in told(school)] == [
        (["09", "10"], "holiday", "Trip"),
        (["12"], "special", "Exams"),
    ]
    assert [each.title for each in school.calendars()[-1][1].calendar_days] == ["Concert"]


async def test_a_date_is_saved_whole(school: School) -> None:
    await save(school, {"grades": ["12"], **SPECIAL, "periods": EXAM}, {"grades": ["09"], **HOLIDAY})

    await save(school, {"grades": ["09", "12"], **HOLIDAY})

    assert [(each.grades, each.kind, each.periods) for each in told(school)] == [(["09", "12"], "holiday", None)]


async def test_the_same_again_is_not_told(school: School) -> None:
    one, other = {"grades": ["12", "11"], **SPECIAL, "periods": EXAM}, {"grades": ["09"], **HOLIDAY}

    await save(school, one, other)
    again = await save(school, other, {**one, "grades": ["11", "12"]})

    assert again.status_code == 200
    assert [version for version, _ in school.calendars()] == [1, 2]


async def test_an_early_close_of_a_grade_cuts_its_weekdays_bells_and_follows_them(school: School) -> None:
    await save(school, {"grades": ["12"], **SPECIAL, "closes_at": "10:00:00"}, {"grades": ["11"], **SPECIAL})
    assert [each.periods and [str(period.ends_at) for period in each.periods] for each in told(school)] == [
        None,
        ["09:15:00", "10:00:00"],
    ]

    week = [{"weekday": 4, "period": "A", "starts_at": "09:00:00", "ends_at": "12:00:00"}]
    await school.send("PUT", "/bell-schedules", {"periods": week})

    assert [each.periods and [str(period.ends_at) for period in each.periods] for each in told(school)] == [
        None,
        ["10:00:00"],
    ]
    (of_date,) = (await school.get("/grade-days"))["items"]
    assert [each["closes_at"] for each in of_date["grade_days"]] == [None, "10:00:00"]
    assert of_date["grade_days"][1]["periods"] == [{"period": "A", "starts_at": "09:00:00", "ends_at": "10:00:00"}]


async def test_the_days_of_a_date_are_forgotten_together(school: School) -> None:
    await save(school, {"grades": ["12"], **SPECIAL, "periods": EXAM}, {"grades": ["09"], **HOLIDAY})
    await save(school, {"grades": ["12"], **HOLIDAY}, path="/grade-days/2026-12-04")

    gone = await school.send("DELETE", DATE)

    assert gone.status_code == 204
    assert [(str(each.day), each.grades) for each in told(school)] == [("2026-12-04", ["12"])]
    assert (await school.send("DELETE", DATE)).status_code == 404


async def test_everybodys_day_and_the_grades_are_forgotten_apart(school: School) -> None:
    await school.send("PUT", "/calendar-days/2026-12-03", HOLIDAY)
    await save(school, {"grades": ["07"], **SPECIAL})

    await school.send("DELETE", "/calendar-days/2026-12-03")

    assert [each.grades for each in told(school)] == [["07"]]
    assert school.calendars()[-1][1].calendar_days == []


@pytest.mark.parametrize(
    ("days", "faults"),
    [
        (({"grades": ["11", "12"], **HOLIDAY}, {"grades": ["10", "12"], **SPECIAL}), ["/grade_days/1/grades/1"]),
        (({"grades": ["12", "12"], **HOLIDAY},), ["/grade_days/0/grades/1"]),
        (({"grades": ["12"], **HOLIDAY}, {"grades": ["11"], **HOLIDAY, "periods": EXAM}), ["/grade_days/1/periods"]),
        (({"grades": ["12"], **SPECIAL, "closes_at": "08:00:00"},), ["/grade_days/0/closes_at"]),
        (
            ({"grades": ["12"], **SPECIAL, "periods": [*EXAM, EXAM[0]]},),
            ["/grade_days/0/periods/1/period", "/grade_days/0/periods/1/starts_at"],
        ),
    ],
)
async def test_days_that_contradict_each_other_are_pointed_at(
    school: School, days: tuple[dict[str, Any], ...], faults: list[str]
) -> None:
    answer = await save(school, *days)

    assert answer.status_code == 422
    assert pointers(answer) == faults
    assert (await school.get("/grade-days"))["items"] == []
    assert (await school.get("/school"))["calendar_version"] == 1


async def test_a_grade_that_has_a_day_already_is_named(school: School) -> None:
    answer = await save(school, {"grades": ["12"], **HOLIDAY}, {"grades": ["12"], **SPECIAL})

    assert answer.json()["type"] == "/problems/invalid-calendar-day"
    assert answer.json()["errors"] == [{"pointer": "/grade_days/1/grades/0", "detail": "Grade 12 has a day already."}]


@pytest.mark.parametrize(
    "days",
    [
        [],
        [{"grades": [], **HOLIDAY}],
        [{**HOLIDAY}],
        [{"grades": [""], **HOLIDAY}],
        [{"grades": [" 12"], **HOLIDAY}],
        [{"grades": ["x" * 21], **HOLIDAY}],
        [{"grades": ["1\x00"], **HOLIDAY}],
        [{"grades": ["12"], "day": "2026-12-04", **HOLIDAY}],
        [{"grades": ["12"], "kind": "party", "title": "x"}],
    ],
    ids=repr,
)
async def test_days_that_cannot_be_read_are_refused(school: School, days: list[dict[str, Any]]) -> None:
    assert (await save(school, *days)).status_code == 400


async def test_dates_come_in_pages_whole(school: School) -> None:
    for day in (1, 2, 3, 4, 5):
        path = f"/grade-days/2026-12-0{day}"
        await save(school, {"grades": ["12"], **HOLIDAY}, {"grades": ["11"], **SPECIAL}, path=path)

    first = await school.get("/grade-days?from=2026-12-02&to=2026-12-04&limit=2")
    second = await school.get(first["next"].removeprefix("/api/v1"))

    assert [each["day"] for each in first["items"]] == ["2026-12-02", "2026-12-03"]
    assert [each["day"] for each in second["items"]] == ["2026-12-04"]
    assert {len(each["grade_days"]) for each in first["items"] + second["items"]} == {2}
    assert second["next"] is None


async def test_a_calendar_holds_only_so_many(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_GRADE_DAYS", 2)
    two = ({"grades": ["12"], **HOLIDAY}, {"grades": ["11"], **SPECIAL})
    await save(school, *two)

    more = await save(school, {"grades": ["12"], **HOLIDAY}, path="/grade-days/2026-12-04")
    three = await save(school, *two, {"grades": ["10"], **HOLIDAY})
    again = await save(school, *reversed(two))

    assert (more.status_code, three.status_code, again.status_code) == (409, 409, 200)
    assert more.json()["type"] == "/problems/calendar-full"


async def test_dates_saved_at_once_do_not_lose_each_other(school: School) -> None:
    await asyncio.gather(
        *(save(school, {"grades": ["12"], **HOLIDAY}, path=f"/grade-days/2026-12-0{n}") for n in range(1, 5)),
        *(save(school, {"grades": [str(n)], **HOLIDAY}) for n in range(4)),
    )

    assert [version for version, _ in school.calendars()] == list(range(1, len(school.calendars()) + 1))
    assert [str(each.day) for each in told(school)] == [f"2026-12-0{n}" for n in range(1, 5)]
    assert len((await school.get("/grade-days"))["items"]) == 4


async def test_another_schools_days_are_not_to_be_seen(house: House, school: School) -> None:
    await save(school, {"grades": ["12"], **HOLIDAY})
    other = await house.school()

    assert (await other.get("/grade-days"))["items"] == []
    assert (await other.send("DELETE", DATE)).status_code == 404
    assert (await save(other, {"grades": ["12"], **SPECIAL})).status_code == 200
    assert [each.kind for each in told(school)] == ["holiday"]
    assert (await save(School(house, new_id()), {"grades": ["12"], **HOLIDAY})).status_code == 404


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("INSERT INTO grade_day_grade VALUES (%s, '2026-12-03', '12', 0)", psycopg.errors.UniqueViolation),
        (
            "INSERT INTO grade_day_period VALUES (%s, '2026-12-03', 1, 'X', '08:00', '09:00:01')",
            psycopg.errors.ExclusionViolation,
        ),
    ],
    ids=["two days of a grade", "overlapping bells"],
)
async def test_control_the_database_refuses_it_too(
    school: School, settings: Settings, statement: bytes, refusal: type[psycopg.Error]
) -> None:
    await save(school, {"grades": ["09"], **HOLIDAY}, {"grades": ["12"], **SPECIAL, "periods": EXAM})

    with psycopg.connect(settings.database_url) as connection:
        connection.execute("SELECT set_config('app.school_id', %s, true)", (str(school.school_id),))
        with pytest.raises(refusal):
            connection.execute(statement, (school.school_id,))
