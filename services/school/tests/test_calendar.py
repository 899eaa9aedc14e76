"""Sessions, bells and days."""

from typing import Any

import psycopg
import pytest

from services.school.settings import Settings
from services.school.tests.factories import House, School, pointers
from shared.identity import Role

LUNCHLESS = [
    {"weekday": 1, "period": "A", "starts_at": "08:00:00", "ends_at": "09:00:00"},
    {"weekday": 1, "period": "B", "starts_at": "09:00:00", "ends_at": "10:00:00"},
    {"weekday": 2, "period": "A", "starts_at": "08:30:00", "ends_at": "09:30:00"},
]


async def year_of(school: School) -> str:
    return next(
        each["academic_session_id"]
        for each in (await school.get("/academic-sessions"))["items"]
        if each["kind"] == "school_year"
    )


async def test_a_new_school_has_eight_periods_from_monday_to_friday(school: School) -> None:
    periods = (await school.get("/bell-schedules", role=Role.STUDENT))["periods"]

    monday = [(each["period"], each["starts_at"], each["ends_at"]) for each in periods if each["weekday"] == 1]
    assert {each["weekday"] for each in periods} == {1, 2, 3, 4, 5}
    assert monday == [
        ("1", "08:30:00", "09:15:00"),
        ("2", "09:20:00", "10:05:00"),
        ("3", "10:10:00", "10:55:00"),
        ("4", "11:00:00", "11:45:00"),
        ("5", "12:30:00", "13:15:00"),
        ("6", "13:20:00", "14:05:00"),
        ("7", "14:10:00", "14:55:00"),
        ("8", "15:00:00", "15:45:00"),
    ]


async def test_a_bell_schedule_is_replaced_whole_and_told_once(school: School) -> None:
    answer = await school.send("PUT", "/bell-schedules", {"periods": list(reversed(LUNCHLESS))})

    assert answer.status_code == 200
    assert answer.json()["periods"] == LUNCHLESS
    assert await school.get("/bell-schedules") == answer.json()
    assert [version for version, _ in school.calendars()] == [1, 2]
    assert [each.period for each in school.calendars()[1][1].bell_periods] == ["A", "B", "A"]
    assert len(school.calendars()[1][1].academic_sessions) == 2


async def test_the_same_bell_schedule_again_is_not_told(school: School) -> None:
    for _ in range(2):
        await school.send("PUT", "/bell-schedules", {"periods": LUNCHLESS})

    assert [version for version, _ in school.calendars()] == [1, 2]
    assert (await school.get("/school"))["calendar_version"] == 2


@pytest.mark.parametrize(
    ("period", "pointer", "detail"),
    [
        ({"period": "C", "starts_at": "09:59:59", "ends_at": "10:30:00"}, "starts_at", "Overlaps period B."),
        ({"period": "C", "starts_at": "07:00:00", "ends_at": "07:00:00"}, "ends_at", "Must be later than it starts."),
        (
            {"period": "A", "starts_at": "11:00:00", "ends_at": "12:00:00"},
            "period",
            "Period A is on this weekday twice.",
        ),
    ],
)
async def test_a_wrong_period_is_pointed_at(school: School, period: dict[str, str], pointer: str, detail: str) -> None:
    answer = await school.send("PUT", "/bell-schedules", {"periods": [*LUNCHLESS, {"weekday": 1, **period}]})

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid-bell-schedule"
    assert answer.json()["errors"] == [{"pointer": f"/periods/3/{pointer}", "detail": detail}]
    assert len((await school.get("/bell-schedules"))["periods"]) == 40


async def test_a_long_period_overlaps_all_that_it_covers(school: School) -> None:
    long = {"weekday": 1, "period": "L", "starts_at": "07:00:00", "ends_at": "12:00:00"}

    answer = await school.send("PUT", "/bell-schedules", {"periods": [*LUNCHLESS, long]})

    assert pointers(answer) == ["/periods/0/starts_at", "/periods/1/starts_at"]
    assert {error["detail"] for error in answer.json()["errors"]} == {"Overlaps period L."}


async def test_control_the_database_refuses_an_overlap_too(school: School, settings: Settings) -> None:
    overlapping = "INSERT INTO bell_period VALUES (%s, 1, 'X', '08:00', '08:30:00.000001')"

    with psycopg.connect(settings.database_url) as connection:
        connection.execute("SELECT set_config('app.school_id', %s, true)", (str(school.school_id),))
        with pytest.raises(psycopg.errors.ExclusionViolation):
            connection.execute(overlapping, (school.school_id,))


@pytest.mark.parametrize(
    "wrong",
    [
        {"weekday": 0},
        {"weekday": 8},
        {"period": ""},
        {"period": " "},
        {"period": "1 "},
        {"period": "\x00"},
        {"starts_at": "08:00:00Z"},
    ],
)
async def test_a_period_that_cannot_be_read_is_refused(school: School, wrong: dict[str, Any]) -> None:
    answer = await school.send("PUT", "/bell-schedules", {"periods": [LUNCHLESS[0] | wrong]})

    assert answer.status_code == 400


async def test_terms_lie_in_years_and_grading_periods_in_terms(school: School) -> None:
    year = (await school.session()).json()
    term = await school.session(kind="term", ends_on="2030-12-20", parent_id=year["academic_session_id"])
    period = await school.session(
        kind="grading_period",
        starts_on="2030-09-01",
        ends_on="2030-10-01",
        parent_id=term.json()["academic_session_id"],
    )

    assert (term.status_code, period.status_code) == (201, 201)
    kept = (await school.get("/academic-sessions", role=Role.TEACHER))["items"]
    assert [each["kind"] for each in kept[2:]] == ["school_year", "term", "grading_period"]
    assert [version for version, _ in school.calendars()] == [1, 2, 3, 4]
    assert len(school.calendars()[-1][1].academic_sessions) == 5


async def test_a_session_that_does_not_fit_is_pointed_at(school: School) -> None:
    year = await year_of(school)
    outside = {"kind": "term", "starts_on": "2026-08-23", "ends_on": "2027-06-12", "parent_id": year}

    assert pointers(await school.session(**outside)) == ["/starts_on", "/ends_on"]
    assert pointers(await school.session(ends_on="2030-08-25")) == ["/ends_on"]
    assert pointers(await school.session(ends_on="2926-06-13")) == ["/ends_on"]
    assert pointers(await school.session(kind="term")) == ["/parent_id"]
    assert pointers(await school.session(parent_id=year)) == ["/parent_id"]
    assert pointers(await school.session(kind="term", parent_id=str(school.school_id))) == ["/parent_id"]
    assert (await school.get("/school"))["calendar_version"] == 1


async def correct(school: School, session_id: str, **changed: Any) -> Any:
    dates = {"title": "Year", "starts_on": "2030-08-26", "ends_on": "2031-06-13"}
    return await school.send("PUT", f"/academic-sessions/{session_id}", {**dates, **changed})


async def test_dates_that_were_mistyped_are_corrected_and_told_once(school: School) -> None:
    year = (await school.session(ends_on="2031-01-13")).json()
    told = school.calendars()[-1][0]

    corrected = await correct(school, year["academic_session_id"])
    again = await correct(school, year["academic_session_id"])

    assert corrected.status_code == 200, corrected.text
    assert corrected.json() == again.json() == {**year, "title": "Year", "ends_on": "2031-06-13"}
    version, calendar = school.calendars()[-1]
    assert version == told + 1
    assert str(calendar.academic_sessions[-1].ends_on) == "2031-06-13"
    assert (await school.get("/academic-sessions"))["items"][-1] == corrected.json()


async def test_a_correction_stays_between_what_it_is_part_of_and_its_parts(school: School) -> None:
    year = (await school.session()).json()["academic_session_id"]
    dates = {"starts_on": "2030-09-01", "ends_on": "2030-12-20"}
    term = (await school.session(kind="term", title="Autumn", parent_id=year, **dates)).json()["academic_session_id"]
    version = school.calendars()[-1][0]

    shorter = await correct(school, year, starts_on="2030-09-02", ends_on="2030-12-19")
    longer = await correct(school, term, starts_on="2030-08-25", ends_on="2031-06-14")
    endless = await correct(school, year, ends_on="2926-06-13")
    backwards = await correct(school, term, starts_on="2030-12-20", ends_on="2030-12-19")

    assert pointers(shorter) == ["/starts_on", "/ends_on"]
    assert shorter.json()["errors"][0]["detail"] == "Autumn in it starts on 2030-09-01."
    assert pointers(longer) == ["/starts_on", "/ends_on"]
    assert (pointers(endless), pointers(backwards)) == (["/ends_on"], ["/ends_on"])
    assert school.calendars()[-1][0] == version


async def test_a_session_of_another_school_is_not_corrected(house: House, school: School) -> None:
    year = (await school.session()).json()
    other = await house.school()

    assert (await correct(other, year["academic_session_id"])).status_code == 404
    assert (await school.get("/academic-sessions"))["items"][-1] == year


async def test_a_term_has_no_terms(school: School) -> None:
    items = (await school.get("/academic-sessions"))["items"]
    term = next(each for each in items if each["kind"] == "term")
    inside = {key: term[key] for key in ("starts_on", "ends_on")}

    answer = await school.session(kind="term", parent_id=term["academic_session_id"], **inside)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/parent_id", "detail": "A term has no term."}]


async def test_a_session_of_another_school_is_no_parent(house: House, school: School) -> None:
    other = await house.school()
    inside = {"kind": "term", "starts_on": "2026-09-01", "ends_on": "2026-10-01"}

    assert pointers(await school.session(**inside, parent_id=await year_of(other))) == ["/parent_id"]
    assert (await school.session(**inside, parent_id=await year_of(school))).status_code == 201


async def test_sessions_come_in_pages(school: School) -> None:
    await school.session()

    first = await school.get("/academic-sessions?limit=2")
    second = await school.get(first["next"].removeprefix("/api/v1"))

    assert [each["title"] for each in second["items"]] == ["2030/31"]
    assert second["next"] is None


async def test_a_day_is_made_a_holiday_changed_and_forgotten(school: School) -> None:
    path = "/calendar-days/2026-11-26"
    made = await school.send("PUT", path, {"kind": "holiday", "title": "Thanksgiving"})
    await school.send("PUT", path, {"kind": "holiday", "title": "Thanksgiving"})
    await school.send("PUT", path, {"kind": "special", "title": "Sports day"})

    assert made.json() == {
        "day": "2026-11-26",
        "kind": "holiday",
        "title": "Thanksgiving",
        "opens_at": None,
        "closes_at": None,
        "periods": None,
    }
    assert (await school.get("/calendar-days"))["items"][0]["title"] == "Sports day"

    gone = await school.send("DELETE", path)

    assert gone.status_code == 204
    assert (await school.get("/calendar-days"))["items"] == []
    assert (await school.send("DELETE", path)).status_code == 404
    told = [(version, [each.kind for each in calendar.calendar_days]) for version, calendar in school.calendars()]
    assert told == [(1, []), (2, ["holiday"]), (3, ["special"]), (4, [])]


async def test_days_are_listed_from_one_day_to_another_in_pages(school: School) -> None:
    for day in (1, 2, 3, 4, 5):
        await school.send("PUT", f"/calendar-days/2026-12-0{day}", {"kind": "holiday", "title": str(day)})

    first = await school.get("/calendar-days?from=2026-12-02&to=2026-12-04&limit=2")
    second = await school.get(first["next"].removeprefix("/api/v1"))

    assert [each["title"] for each in first["items"]] == ["2", "3"]
    assert [each["title"] for each in second["items"]] == ["4"]
    assert second["next"] is None


async def test_a_bad_first_day_is_named_as_it_was_sent(school: School) -> None:
    refused = await school.send("GET", "/calendar-days?from=tomorrow")

    assert refused.status_code == 400
    assert pointers(refused) == ["query/from"]


async def test_another_schools_days_are_not_to_be_seen(house: House, school: School) -> None:
    await school.send("PUT", "/calendar-days/2026-11-26", {"kind": "holiday", "title": "Thanksgiving"})
    other = await house.school()

    assert (await other.get("/calendar-days"))["items"] == []
    assert (await other.send("DELETE", "/calendar-days/2026-11-26")).status_code == 404
    assert len((await school.get("/calendar-days"))["items"]) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/calendar-days/2026-02-30", {"kind": "holiday", "title": "x"}),
        ("/calendar-days/2026-12-01", {"kind": "party", "title": "x"}),
        ("/calendar-days/2026-12-01", {"kind": "holiday", "title": "a\x00"}),
        ("/calendar-days/2026-12-01", {"kind": "holiday", "title": ""}),
    ],
)
async def test_a_day_that_cannot_be_read_is_refused(school: School, path: str, body: object) -> None:
    answer = await school.send("PUT", path, body)

    assert answer.status_code in {400, 404}
    assert answer.headers["content-type"] == "application/problem+json"
