"""What `school` tells of turns becomes lessons in `academic`, which knows of none (ADR 0709)."""

from collections.abc import AsyncGenerator
from datetime import date, timedelta

import pytest

from shared.ids import new_id
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.whole_house import FilledSchool, House, open_house


@pytest.fixture(scope="module")
async def house(stack: Stack, tokens: Tokens) -> AsyncGenerator[House]:
    async with open_house(stack, tokens) as house:
        yield house


@pytest.fixture
async def school(house: House) -> FilledSchool:
    return await FilledSchool(house, f"T{new_id().hex[-6:]}").fill()


async def rotate(school: FilledSchool, *, starts_on: date, skips_days_off: bool = True) -> None:
    turns = [
        {"name": name, "periods": [{"period": f"{name}1", "starts_at": "15:00:00", "ends_at": "15:45:00"}]}
        for name in "AB"
    ]
    asked = {"kind": "weeks", "starts_on": str(starts_on), "skips_days_off": skips_days_off, "turns": turns}
    await school.ask("school", "PUT", "/rotation", json=asked)
    await school.house.carry_events(school.school_id)


async def held(school: FilledSchool, class_id: str, monday: date) -> set[int]:
    """On which weekdays of a week the class has lessons."""
    days = [monday + timedelta(days=each) for each in range(7)]
    lessons = {day: await school.ask("academic", "GET", f"/lessons?day={day}&limit=200") for day in days}
    return {
        day.isoweekday()
        for day, of_day in lessons.items()
        if any(each["class_id"] == class_id for each in of_day["items"])
    }


async def off(school: FilledSchool, monday: date) -> set[int]:
    until = monday + timedelta(days=6)
    found = await school.ask("school", "GET", f"/calendar-days?from={monday}&to={until}")
    days = [date.fromisoformat(each["day"]) for each in found["items"] if each["kind"] == "holiday" or each["periods"]]
    return {day.isoweekday() for day in days}


async def test_a_class_meets_in_the_weeks_of_its_turn(school: FilledSchool) -> None:
    monday = school.today - timedelta(days=school.today.weekday())
    next_, after_next = monday + timedelta(days=7), monday + timedelta(days=14)
    await rotate(school, starts_on=monday)
    session_ids = [school.ids["academic_session_ids"]]
    of_a = await school.made("/classes", title="Choir", periods=["A1"], academic_session_ids=session_ids)
    of_b = await school.made("/classes", title="Chess", periods=["B1"], academic_session_ids=session_ids)
    week = {1, 2, 3, 4, 5}

    assert await held(school, of_a["id"], next_) == set()
    assert await held(school, of_b["id"], next_) == week - await off(school, next_)
    assert await held(school, of_a["id"], after_next) == week - await off(school, after_next)
    assert await held(school, of_b["id"], after_next) == set()

    # The turns change places.
    await rotate(school, starts_on=next_)

    assert await held(school, of_a["id"], next_) == week - await off(school, next_)
    assert await held(school, of_b["id"], next_) == set()

    await school.ask("school", "DELETE", "/rotation")
    await school.house.carry_events(school.school_id)

    assert await held(school, of_a["id"], next_) == set()
