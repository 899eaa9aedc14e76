"""Days with bells of their own: named one by one, or the weekday's cut to when the school is open."""

from typing import Any

import psycopg
import pytest

from services.school.settings import Settings
from services.school.tests.factories import House, School, pointers
from shared.identity import Role

THURSDAY, SATURDAY = "/calendar-days/2026-12-03", "/calendar-days/2026-12-05"
ASSEMBLY = [
    {"period": "1", "starts_at": "08:30:00", "ends_at": "09:00:00"},
    {"period": "assembly", "starts_at": "09:00:00", "ends_at": "10:00:00"},
    {"period": "2", "starts_at": "10:05:00", "ends_at": "10:35:00"},
]


async def special(school: School, path: str = THURSDAY, **body: Any) -> Any:
    return await school.send("PUT", path, {"kind": "special", "title": "A special day", **body})


def told_periods(school: School) -> list[Any]:
    """What each calendar told of its only special day."""
    return [
        None if days[0].periods is None else [(each.period, str(each.ends_at)) for each in days[0].periods]
        for days in (calendar.calendar_days for _, calendar in school.calendars())
        if days
    ]


async def test_an_early_close_cuts_the_weekdays_periods_and_is_told_as_periods(school: School) -> None:
    answer = await special(school, closes_at="11:30:00")

    assert answer.status_code == 200, answer.text
    held = [("1", "09:15:00"), ("2", "10:05:00"), ("3", "10:55:00"), ("4", "11:30:00")]
    assert [(each["period"], each["ends_at"]) for each in answer.json()["periods"]] == held
    assert told_periods(school) == [held]
    assert (await school.get("/calendar-days", role=Role.TEACHER))["items"] == [answer.json()]


async def test_a_late_start_begins_with_what_is_left_of_the_period_under_way(school: School) -> None:
    answer = await special(school, opens_at="14:10:00")
    later = await special(school, opens_at="14:30:00")

    assert [each["starts_at"] for each in answer.json()["periods"]] == ["14:10:00", "15:00:00"]
    assert [each["starts_at"] for each in later.json()["periods"]] == ["14:30:00", "15:00:00"]


async def test_less_than_twenty_minutes_are_not_held(school: School) -> None:
    held = (await special(school, closes_at="11:20:00")).json()["periods"]
    not_held = (await special(school, closes_at="11:19:00")).json()["periods"]

    assert [each["period"] for each in held] == ["1", "2", "3", "4"]
    assert [each["period"] for each in not_held] == ["1", "2", "3"]


async def test_a_cut_day_follows_the_bells_of_its_weekday(school: School) -> None:
    await special(school, closes_at="11:30:00")
    week = [{"weekday": 4, "period": "A", "starts_at": "10:00:00", "ends_at": "12:00:00"}]

    await school.send("PUT", "/bell-schedules", {"periods": week})

    assert told_periods(school)[-1] == [("A", "11:30:00")]


async def test_a_day_whose_bells_fell_away_is_told_with_none(school: School) -> None:
    await special(school, closes_at="11:30:00")

    await school.send("PUT", "/bell-schedules", {"periods": []})

    assert told_periods(school)[-1] == []


async def test_a_day_may_name_all_its_bells_even_on_a_weekend(school: School) -> None:
    answer = await special(school, SATURDAY, periods=list(reversed(ASSEMBLY)))
    kept = (await school.get("/calendar-days"))["items"]

    assert answer.json()["periods"] == ASSEMBLY
    assert kept == [answer.json()]
    assert told_periods(school) == [[(each["period"], each["ends_at"]) for each in ASSEMBLY]]


async def test_the_same_day_again_is_not_told(school: School) -> None:
    for _ in range(2):
        await special(school, periods=ASSEMBLY)
    await special(school, closes_at="12:00:00")
    await special(school, closes_at="12:00:00")
    await special(school)

    assert len(told_periods(school)) == 3
    assert told_periods(school)[-1] is None


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"kind": "holiday", "closes_at": "12:00:00"}, ["/closes_at"]),
        ({"kind": "holiday", "periods": ASSEMBLY}, ["/periods"]),
        ({"periods": ASSEMBLY, "opens_at": "09:00:00", "closes_at": "12:00:00"}, ["/opens_at", "/closes_at"]),
        ({"opens_at": "12:00:00", "closes_at": "12:00:00"}, ["/closes_at"]),
        ({"closes_at": "08:00:00"}, ["/closes_at"]),
        ({"opens_at": "18:00:00"}, ["/opens_at"]),
        ({"periods": [*ASSEMBLY, {**ASSEMBLY[0], "period": "x"}]}, ["/periods/3/starts_at"]),
        ({"periods": [ASSEMBLY[0], {**ASSEMBLY[2], "period": "1"}]}, ["/periods/1/period"]),
        ({"periods": [{**ASSEMBLY[0], "ends_at": "08:30:00"}]}, ["/periods/0/ends_at"]),
    ],
)
async def test_a_day_that_contradicts_itself_is_pointed_at(
    school: School, body: dict[str, Any], faults: list[str]
) -> None:
    answer = await special(school, **body)

    assert answer.status_code == 422
    assert pointers(answer) == faults
    assert (await school.get("/school"))["calendar_version"] == 1


async def test_a_weekend_has_no_bells_to_cut(school: School) -> None:
    answer = await special(school, SATURDAY, closes_at="12:00:00")

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid-calendar-day"


@pytest.mark.parametrize(
    "body",
    [
        {"periods": []},
        {"closes_at": "12:00:00Z"},
        {"closes_at": 12},
        {"periods": [{**ASSEMBLY[0], "period": "\x00"}]},
        {"periods": [{**ASSEMBLY[0], "weekday": 1}]},
    ],
)
async def test_bells_that_cannot_be_read_are_refused(school: School, body: dict[str, Any]) -> None:
    assert (await special(school, **body)).status_code == 400


async def test_the_bells_go_with_the_day(school: School) -> None:
    await special(school, periods=ASSEMBLY)
    await school.send("DELETE", THURSDAY)
    await special(school)

    assert (await school.get("/calendar-days"))["items"][0]["periods"] is None


async def test_another_schools_special_day_is_not_to_be_seen(house: House, school: School) -> None:
    await special(school, periods=ASSEMBLY)
    other = await house.school()

    assert (await other.get("/calendar-days"))["items"] == []
    assert (await special(other)).json()["periods"] is None
    assert (await school.get("/calendar-days"))["items"][0]["periods"] == ASSEMBLY


@pytest.mark.parametrize("role", [Role.TEACHER, Role.GUARDIAN, Role.STUDENT])
async def test_only_the_office_makes_a_day_special(school: School, role: str) -> None:
    answer = await school.send("PUT", THURSDAY, {"kind": "special", "title": "Mine"}, role=role)

    assert answer.status_code == 403


async def test_control_the_database_refuses_overlapping_bells_of_a_day_too(school: School, settings: Settings) -> None:
    await special(school, periods=ASSEMBLY)
    overlapping = "INSERT INTO calendar_day_period VALUES (%s, '2026-12-03', 'X', '08:00', '08:30:00.000001')"

    with psycopg.connect(settings.database_url) as connection:
        connection.execute("SELECT set_config('app.school_id', %s, true)", (str(school.school_id),))
        with pytest.raises(psycopg.errors.ExclusionViolation):
            connection.execute(overlapping, (school.school_id,))
