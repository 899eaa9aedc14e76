"""The roster of a district: saved as a whole, told once, the same again changes nothing."""

import asyncio
from uuid import UUID

import msgspec
import psycopg
import pytest

from services.school.settings import Settings
from services.school.tests.factories import House, School, pointers, roster, term, year
from shared.contracts.roster import RosterSchoolSaved, RosterSession
from shared.identity import Role
from shared.ids import new_id
from shared.pages import Page


async def test_a_roster_makes_schools_with_calendars_of_their_own(house: House) -> None:
    saved = await house.put_roster(roster("Lincoln", "Washington"))

    lincoln, washington = saved.schools
    assert [each.is_new for each in saved.schools] == [True, True]
    assert lincoln.school.name == "Lincoln"
    assert lincoln.school.district_id == saved.district_id
    assert lincoln.school.time_zone == "America/New_York"
    assert len(lincoln.calendar.bell_periods) == 40
    assert [each.sourced_id for each in lincoln.calendar.academic_sessions] == ["year", "fall"]
    ids = [{each.academic_session_id for each in school.calendar.academic_sessions} for school in (lincoln, washington)]
    assert ids[0].isdisjoint(ids[1])
    assert (await School(house, washington.school.school_id).get("/school"))["name"] == "Washington"


async def test_what_is_answered_is_what_is_told(house: House) -> None:
    saved = await house.put_roster(roster("Lincoln", "Washington"))

    for each in saved.schools:
        assert house.told_schools(each.school.school_id) == [(1, each.school)]
        assert house.told_calendars(each.school.school_id) == [(1, each.calendar)]


async def test_the_same_roster_again_changes_and_tells_nothing(house: House) -> None:
    sent = roster("Lincoln", "Washington")
    first = await house.put_roster(sent)

    second = await house.put_roster(sent)

    assert second.district_id == first.district_id
    assert second.schools == [msgspec.structs.replace(each, is_new=False) for each in first.schools]
    assert all(len(house.told(each.school.school_id)) == 2 for each in first.schools)


async def test_only_what_is_different_is_told(house: House) -> None:
    first = await house.put_roster(roster("Lincoln", "Washington", district=(district := str(new_id()))))

    longer = term(ends_on="2026-12-22")
    spring = term(sourced_id="spring", title="Spring", starts_on="2027-01-04", ends_on="2027-06-11")
    second = await house.put_roster(
        roster("Lincoln", "Washington High", "Adams", district=district, sessions=(spring, longer, year()))
    )

    lincoln, washington, adams = second.schools
    assert [each.school_version for each in second.schools] == [1, 2, 1]
    assert [each.calendar_version for each in second.schools] == [2, 2, 1]
    assert [each.is_new for each in second.schools] == [False, False, True]
    assert washington.school.school_id == first.schools[1].school.school_id
    before = {each.sourced_id: each.academic_session_id for each in first.schools[0].calendar.academic_sessions}
    after = {each.sourced_id: each for each in lincoln.calendar.academic_sessions}
    assert after["fall"].academic_session_id == before["fall"]
    assert str(after["fall"].ends_on) == "2026-12-22"
    assert after["spring"].parent_id == before["year"]
    assert house.told_calendars(lincoln.school.school_id)[1:] == [(2, lincoln.calendar)]
    assert house.told_schools(washington.school.school_id)[1:] == [(2, washington.school)]
    assert len(house.told(adams.school.school_id)) == 2


async def test_the_same_id_in_another_district_is_another_school(house: House) -> None:
    one, other = await house.put_roster(roster("Lincoln")), await house.put_roster(roster("Lincoln"))

    assert one.district_id != other.district_id
    assert one.schools[0].sourced_id == other.schools[0].sourced_id
    assert one.schools[0].school.school_id != other.schools[0].school.school_id


async def test_a_name_given_at_the_school_stays_until_the_roster_says_another(house: House) -> None:
    district = str(new_id())
    saved = await house.put_roster(roster("Lincoln", district=district))
    school = School(house, saved.schools[0].school.school_id)
    await school.send("PATCH", "/school", {"version": 1, "name": "Lincoln Academy"})

    again = await house.put_roster(roster("Lincoln", district=district))
    renamed = await house.put_roster(roster("Lincoln Charter", district=district))

    assert (again.schools[0].school.name, again.schools[0].school_version) == ("Lincoln Academy", 2)
    assert (renamed.schools[0].school.name, renamed.schools[0].school_version) == ("Lincoln Charter", 3)


async def test_what_a_school_has_made_itself_outlives_a_roster(house: House) -> None:
    district = str(new_id())
    saved = await house.put_roster(roster("Lincoln", district=district))
    school = School(house, saved.schools[0].school.school_id)
    await school.send("PATCH", "/school", {"version": 1, "time_zone": "America/Denver"})
    await school.send("PUT", "/bell-schedules", {"periods": []})
    await school.send("PUT", "/calendar-days/2026-11-26", {"kind": "holiday", "title": "Thanksgiving"})
    await school.session()

    again = (await house.put_roster(roster("Lincoln", district=district))).schools[0]

    assert again.school.time_zone == "America/Denver"
    assert again.calendar.bell_periods == []
    assert [each.title for each in again.calendar.calendar_days] == ["Thanksgiving"]
    assert len(again.calendar.academic_sessions) == 3
    assert (again.school_version, again.calendar_version) == (2, 4)


async def test_the_same_roster_many_times_at_once_is_saved_once(house: House) -> None:
    sent = roster("Lincoln", "Washington", "Adams")

    answers = await asyncio.gather(*(house.put_roster(sent) for _ in range(8)))

    assert len({each.district_id for each in answers}) == 1
    assert sum(school.is_new for each in answers for school in each.schools) == 3
    assert len({school.school.school_id for each in answers for school in each.schools}) == 3
    assert all(len(house.told(school.school.school_id)) == 2 for school in answers[0].schools)


async def test_rosters_and_changes_at_a_school_do_not_lose_each_other(house: House) -> None:
    district = str(new_id())
    saved = await house.put_roster(roster("Lincoln", district=district))
    school = School(house, saved.schools[0].school.school_id)

    await asyncio.gather(
        *(
            house.put_roster(roster(f"Lincoln {n}", district=district, sessions=(year(title=str(n)),)))
            for n in range(3)
        ),
        *(school.send("PUT", f"/calendar-days/2026-12-0{n}", {"kind": "holiday", "title": "x"}) for n in range(1, 5)),
    )

    versions = [version for version, _ in school.calendars()]
    assert versions == list(range(1, 9))
    assert [version for version, _ in house.told_schools(school.school_id)] == [1, 2, 3, 4]
    last = school.calendars()[-1][1]
    assert len(last.calendar_days) == 4
    assert [str(each["day"]) for each in (await school.get("/calendar-days"))["items"]] == [
        str(each.day) for each in last.calendar_days
    ]


LOOP = (
    year(),
    term(sourced_id="a", parent_sourced_id="b"),
    term(sourced_id="b", parent_sourced_id="a"),
)


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        ((year(), term(parent_sourced_id="nowhere")), ["/academic_sessions/1/parent_sourced_id"]),
        ((year(), term(ends_on="2027-06-12")), ["/academic_sessions/1/ends_on"]),
        ((year(), term(starts_on="2026-08-23")), ["/academic_sessions/1/starts_on"]),
        ((term(), year()), None),
        ((year(ends_on="2026-01-01"),), ["/academic_sessions/0/ends_on"]),
        ((year(), year()), ["/academic_sessions/1/sourced_id"]),
        ((year(), term(), year(sourced_id="y", parent_sourced_id="fall")), ["/academic_sessions/2/parent_sourced_id"]),
        ((term(parent_sourced_id=None),), None),
        ((year(), term(), term(sourced_id="quarter", parent_sourced_id="fall", ends_on="2026-10-30")), None),
    ],
)
async def test_a_roster_that_contradicts_itself_is_refused_as_a_whole(
    house: House, sessions: tuple[RosterSession, ...], expected: list[str] | None
) -> None:
    answer = await house.send_roster(roster("Lincoln", sessions=sessions))

    assert answer.status_code == (200 if expected is None else 422)
    if expected is not None:
        assert answer.json()["type"] == "/problems/invalid-roster"
        assert pointers(answer) == expected


async def test_sessions_that_are_part_of_themselves_are_refused(house: House) -> None:
    answer = await house.send_roster(roster("Lincoln", sessions=LOOP))

    assert answer.status_code == 422


async def test_a_refused_roster_leaves_nothing_behind(house: House, settings: Settings) -> None:
    district = str(new_id())

    answer = await house.send_roster(roster("Lincoln", "Wash\x00ington", district=district))

    assert answer.status_code == 422
    with psycopg.connect(settings.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM district WHERE sourced_id = %s", (district,)).fetchone()
    assert row == (0,)


async def test_a_school_twice_in_a_roster_is_pointed_at(house: House) -> None:
    twice = roster("Lincoln")
    twice = msgspec.structs.replace(twice, schools=twice.schools * 2)

    assert pointers(await house.send_roster(twice)) == ["/schools/1/sourced_id"]


async def test_the_snapshot_says_of_every_school_what_the_last_events_said(house: House, school: School) -> None:
    brand = {"locale": "de-DE", "brand_colour": "#1a4f8b", "logo_url": "https://cdn.example/logo.svg"}
    await school.send("PATCH", "/school", {"version": 1, "grace_period_minutes": 33, **brand})
    trip = {"grades": ["09"], "kind": "holiday", "title": "Trip"}
    await school.send("PUT", "/grade-days/2026-12-03", {"grade_days": [trip]})
    other = await house.school()

    found: dict[UUID, RosterSchoolSaved] = {}
    path: str | None = "/internal/schools?limit=2"
    while path:
        answer = await house.client.get(path, headers=house.tokens.service_headers("communication"))
        page = msgspec.json.decode(answer.content, type=Page[RosterSchoolSaved])
        assert len(page.items) <= 2
        found |= {each.school.school_id: each for each in page.items}
        path = page.next

    for school_id in (school.school_id, other.school_id):
        each = found[school_id]
        assert house.told_schools(school_id)[-1] == (each.school_version, each.school)
        assert house.told_calendars(school_id)[-1] == (each.calendar_version, each.calendar)
    assert [each.title for each in found[school.school_id].calendar.grade_days] == ["Trip"]


async def test_the_platform_admin_lists_districts_and_schools_by_name_in_pages(house: House) -> None:
    saved = await house.put_roster(roster("Lincoln", "Adams", "Washington"))
    school = School(house, saved.schools[0].school.school_id)
    await school.send("PATCH", "/school", {"version": 1, "name": "Zion"})
    headers = house.tokens.headers(Role.PLATFORM_ADMIN)

    first = (await house.client.get(f"/api/v1/schools?district_id={saved.district_id}&limit=2", headers=headers)).json()
    second = (await house.client.get(first["next"], headers=headers)).json()
    districts = (await house.client.get("/api/v1/districts?limit=500", headers=headers)).json()

    assert [each["name"] for each in first["items"] + second["items"]] == ["Adams", "Washington", "Zion"]
    assert second["next"] is None
    assert str(saved.district_id) in {each["district_id"] for each in districts["items"]}
