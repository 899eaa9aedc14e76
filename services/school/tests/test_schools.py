"""A school's own settings."""

import asyncio
from typing import Any

import pytest

from services.school.tests.factories import House, School, pointers
from shared.identity import Role


async def test_a_school_shows_its_settings(school: School) -> None:
    found = await school.get("/school", role=Role.GUARDIAN)

    assert found["school_id"] == str(school.school_id)
    assert found["name"] == "Lincoln Elementary"
    assert found["time_zone"] == "America/New_York"
    assert found["grace_period_minutes"] == 10
    assert (found["register_reminder_minutes"], found["register_escalation_minutes"]) == (15, 60)
    assert (found["version"], found["calendar_version"]) == (1, 1)


async def test_a_change_is_saved_and_told_once_under_its_version(school: School) -> None:
    change = {"version": 1, "time_zone": "America/Chicago", "grace_period_minutes": 0}

    answer = await school.send("PATCH", "/school", change)

    assert answer.status_code == 200
    assert answer.json() == await school.get("/school")
    told = school.house.told_schools(school.school_id)
    assert [version for version, _ in told] == [1, 2]
    assert told[1][1].time_zone == "America/Chicago"
    assert told[1][1].grace_period_minutes == 0
    assert told[1][1].name == "Lincoln Elementary"
    assert {each.subject for each in school.house.told(school.school_id)} == {str(school.school_id)}


async def test_a_change_that_changes_nothing_is_not_told(school: School) -> None:
    answer = await school.send("PATCH", "/school", {"version": 1, "name": "Lincoln Elementary"})

    assert answer.json()["version"] == 1
    assert len(school.house.told_schools(school.school_id)) == 1


async def test_a_stale_change_is_refused(school: School) -> None:
    await school.send("PATCH", "/school", {"version": 1, "grace_period_minutes": 20})

    answer = await school.send("PATCH", "/school", {"version": 1, "grace_period_minutes": 30})

    assert answer.status_code == 412
    assert answer.json()["type"] == "/problems/stale-school"
    assert (await school.get("/school"))["grace_period_minutes"] == 20


async def test_of_two_changes_at_once_one_is_told_to_read_again(school: School) -> None:
    answers = await asyncio.gather(
        *(school.send("PATCH", "/school", {"version": 1, "grace_period_minutes": n}) for n in (20, 30, 40))
    )

    assert sorted(each.status_code for each in answers) == [200, 412, 412]
    assert [version for version, _ in school.house.told_schools(school.school_id)] == [1, 2]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime", "Factory", "EST5", "america/new_york"])
async def test_a_time_zone_must_exist(school: School, zone: str) -> None:
    answer = await school.send("PATCH", "/school", {"version": 1, "time_zone": zone})

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/unknown-time-zone"
    assert pointers(answer) == ["/time_zone"]
    assert (await school.get("/school"))["version"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"grace_period_minutes": 241},
        {"grace_period_minutes": -1},
        {"register_reminder_minutes": -1},
        {"register_reminder_minutes": 481},
        {"register_escalation_minutes": 481},
        {"register_escalation_minutes": None},
        {"name": ""},
        {"name": "a\x00b"},
        {"name": "x" * 256},
        {"time_zone": "UTC\x00"},
        {"district_id": "x"},
        {"version": 10**30},
    ],
)
async def test_what_cannot_be_saved_is_refused(school: School, wrong: dict[str, Any]) -> None:
    answer = await school.send("PATCH", "/school", {"version": 1, **wrong})

    assert answer.status_code == 400


async def test_when_a_missing_register_is_told_of_is_saved_and_told(school: School) -> None:
    change = {"version": 1, "register_reminder_minutes": 5, "register_escalation_minutes": 480}

    answer = await school.send("PATCH", "/school", change)

    assert answer.status_code == 200
    assert answer.json() == await school.get("/school")
    told = school.house.told_schools(school.school_id)[-1][1]
    assert (told.register_reminder_minutes, told.register_escalation_minutes) == (5, 480)


@pytest.mark.parametrize(("reminder", "escalation"), [(0, 0), (0, 5), (5, 0), (5, 6)])
async def test_each_step_can_be_left_out(school: School, reminder: int, escalation: int) -> None:
    change = {"register_reminder_minutes": reminder, "register_escalation_minutes": escalation}

    answer = await school.send("PATCH", "/school", {"version": 1, **change})

    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in change} == change


@pytest.mark.parametrize(
    "change",
    [
        {"register_reminder_minutes": 20, "register_escalation_minutes": 20},
        {"register_reminder_minutes": 60},
        {"register_escalation_minutes": 15},
    ],
)
async def test_the_teacher_hears_before_the_office(school: School, change: dict[str, int]) -> None:
    answer = await school.send("PATCH", "/school", {"version": 1, **change})

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/office-before-teacher"
    assert pointers(answer) == ["/register_escalation_minutes"]
    assert (await school.get("/school"))["version"] == 1


async def test_another_school_is_neither_seen_nor_changed(house: House, school: School) -> None:
    other = await house.school("Washington Middle")

    await other.send("PATCH", "/school", {"version": 1, "grace_period_minutes": 99})

    assert (await school.get("/school"))["grace_period_minutes"] == 10
    assert (await other.get("/school"))["grace_period_minutes"] == 99
