"""Rooms."""

from services.school.tests.factories import House, School, pointers
from shared.identity import Role


async def test_rooms_are_added_and_listed_by_name_in_pages(school: School) -> None:
    for name in ("Gym", "101", "Lab"):
        assert (await school.send("POST", "/rooms", {"name": name})).status_code == 201

    first = await school.get("/rooms?limit=2", role=Role.TEACHER)
    second = await school.get(first["next"].removeprefix("/api/v1"), role=Role.TEACHER)

    assert [each["name"] for each in first["items"] + second["items"]] == ["101", "Gym", "Lab"]


async def test_a_name_is_given_once_at_each_school(house: House, school: School) -> None:
    other = await house.school()
    await school.send("POST", "/rooms", {"name": "Gym"})

    again = await school.send("POST", "/rooms", {"name": "Gym"})
    elsewhere = await other.send("POST", "/rooms", {"name": "Gym"})

    assert (again.status_code, again.json()["type"]) == (409, "/problems/room-exists")
    assert pointers(again) == ["/name"]
    assert elsewhere.status_code == 201
    assert len((await other.get("/rooms"))["items"]) == 1


async def test_a_room_without_a_readable_name_is_refused(school: School) -> None:
    for name in ("", "a\x00", "x" * 51):
        assert (await school.send("POST", "/rooms", {"name": name})).status_code == 400
