"""A school's own settings."""

import asyncio
from typing import Any

import msgspec
import pytest

from services.school.tests.factories import House, School, pointers
from shared.contracts.school import SchoolChanged
from shared.identity import Role
from shared.ids import new_id
from tools.dumps import EVENTS


async def test_a_school_shows_its_settings(school: School) -> None:
    found = await school.get("/school", role=Role.GUARDIAN)

    assert found["school_id"] == str(school.school_id)
    assert found["name"] == "Lincoln Elementary"
    assert found["time_zone"] == "America/New_York"
    assert found["grace_period_minutes"] == 10
    assert (found["register_reminder_minutes"], found["register_escalation_minutes"]) == (15, 60)
    assert (found["locale"], found["brand_colour"], found["logo_url"]) == ("en-GB", None, None)
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


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime", "Factory", "CET", "EST5", "america/new_york"])
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
        {"name": "Lincoln\n"},
        {"name": "x" * 256},
        {"time_zone": "UTC\x00"},
        {"district_id": "x"},
        {"version": 10**30},
        {"locale": None},
        {"locale": "de DE"},
        {"locale": "d"},
        {"locale": "de" + "-abcdefgh" * 4},
        {"brand_colour": "#abc"},
        {"brand_colour": "1a4f8b"},
        {"brand_colour": "#1a4f8g"},
        {"brand_colour": "#1a4f8b\n"},
        {"brand_colour": "red"},
        {"logo_url": ""},
        {"logo_url": f"https://cdn.example/{'x' * 500}"},
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


async def test_a_token_of_a_school_that_is_not_here_reads_and_changes_nothing(house: House) -> None:
    nowhere = School(house, new_id())

    answers = [await nowhere.send("GET", "/school"), await nowhere.send("PATCH", "/school", {"version": 1, **BRAND})]

    assert [each.status_code for each in answers] == [404, 404]


BRAND = {"locale": "de_de", "brand_colour": "#1A4F8B", "logo_url": "https://cdn.example/logo.svg"}
KEPT = BRAND | {"locale": "de-DE", "brand_colour": "#1a4f8b"}


def brand_of(school: Any) -> dict[str, Any]:
    told = msgspec.to_builtins(school)
    return {name: told[name] for name in BRAND}


async def test_locale_and_brand_are_seen_by_everybody_and_told(school: School) -> None:
    before = await school.get("/school", role=Role.STUDENT)

    answer = await school.send("PATCH", "/school", {"version": 1, **BRAND})

    assert answer.status_code == 200, answer.text
    assert brand_of(before) == {"locale": "en-GB", "brand_colour": None, "logo_url": None}
    assert brand_of(answer.json()) == brand_of(await school.get("/school", role=Role.STUDENT)) == KEPT
    assert [(version, brand_of(told)) for version, told in school.house.told_schools(school.school_id)] == [
        (1, brand_of(before)),
        (2, KEPT),
    ]


async def test_the_same_brand_in_other_letters_changes_and_tells_nothing(school: School) -> None:
    await school.send("PATCH", "/school", {"version": 1, **BRAND})

    again = await school.send("PATCH", "/school", {"version": 2, **KEPT})

    assert again.json()["version"] == 2
    assert len(school.house.told_schools(school.school_id)) == 2


async def test_a_brand_is_taken_back_with_null(school: School) -> None:
    await school.send("PATCH", "/school", {"version": 1, **BRAND})

    answer = await school.send("PATCH", "/school", {"version": 2, "brand_colour": None, "logo_url": None})

    assert answer.status_code == 200, answer.text
    assert brand_of(await school.get("/school")) == {"locale": "de-DE", "brand_colour": None, "logo_url": None}


@pytest.mark.parametrize(
    ("name", "value", "slug"),
    [
        ("locale", "xx-GB", "unknown-locale"),
        ("brand_colour", "#ffff00", "pale-colour"),
        ("logo_url", "http://cdn.example/logo.svg", "unusable-logo"),
        ("logo_url", "https://cdn.example/\u0000", "unusable-logo"),
    ],
)
async def test_a_brand_that_cannot_be_used_is_refused_with_its_reason(
    school: School, name: str, value: str, slug: str
) -> None:
    answer = await school.send("PATCH", "/school", {"version": 1, **BRAND, name: value})

    assert answer.status_code == 422
    assert answer.json()["type"] == f"/problems/{slug}"
    assert pointers(answer) == [f"/{name}"]
    assert (await school.get("/school"))["version"] == 1


async def test_of_two_brands_at_once_one_is_told_to_read_again(school: School) -> None:
    answers = await asyncio.gather(
        *(school.send("PATCH", "/school", {"version": 1, "brand_colour": each}) for each in ("#1a4f8b", "#8b1a1a"))
    )

    assert sorted(each.status_code for each in answers) == [200, 412]
    assert len(school.house.told_schools(school.school_id)) == 2


async def test_the_brand_of_another_school_stays_its_own(house: House, school: School) -> None:
    other = await house.school("Washington Middle")

    await other.send("PATCH", "/school", {"version": 1, **BRAND})

    assert brand_of(await school.get("/school")) == {"locale": "en-GB", "brand_colour": None, "logo_url": None}


def test_a_school_that_was_told_before_there_were_brands_has_none() -> None:
    sample = (EVENTS / "school.school_changed.v1.sample.json").read_bytes()

    told = msgspec.json.decode(sample, type=SchoolChanged)

    assert "locale" not in msgspec.json.decode(sample)
    assert brand_of(told) == {"locale": "en-GB", "brand_colour": None, "logo_url": None}
