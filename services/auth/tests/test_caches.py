"""Who a login is, is remembered; whether its session is over is not."""

from services.auth.tests.house import House, slug
from shared.contracts.school import SchoolChanged
from shared.ids import new_id
from shared.testing.queries import readings, statements


async def test_who_asks_again_costs_one_question_whether_the_session_lives(house: House) -> None:
    login = await house.login()
    first = await house.me(login["access_token"])

    with statements() as seen:
        second = await house.me(login["access_token"])

    assert second.json() == first.json()
    assert len(seen) == 1
    assert "revoked_at IS NULL" in seen[0]


async def test_it_names_every_table_that_it_is_read_from(house: House) -> None:
    login = await house.login()

    with readings() as found:
        await house.me(login["access_token"])

    # `session` is asked each time, before.
    assert [tables - kind.tables for kind, tables in found] == [frozenset({"session"})]


async def test_it_stays_on_no_disk_and_has_a_tag(house: House) -> None:
    login = await house.login()
    first = await house.me(login["access_token"])
    headers = {"Authorization": f"Bearer {login['access_token']}", "If-None-Match": first.headers["etag"]}

    again = await house.get("/auth/me", headers=headers)

    assert first.headers["cache-control"] == "no-store"
    assert (again.status_code, again.content) == (304, b"")


async def test_a_session_that_was_ended_is_over_though_its_owner_is_remembered(house: House) -> None:
    login = await house.login()
    other = (await house.sign_in(login["email"])).json()
    for token in (login["access_token"], other["access_token"]):
        assert (await house.me(token)).status_code == 200

    await house.post("/auth/sign-out", token=login["access_token"])

    over = await house.me(login["access_token"])
    assert (over.status_code, slug(over)) == (401, "session-over")
    assert (await house.me(other["access_token"])).status_code == 200


async def test_who_left_a_school_no_longer_has_it_to_choose(house: House) -> None:
    login = await house.login()
    elsewhere = await house.school("Jackson")
    second = await house.person(elsewhere, email=login["email"])
    await house.accept(await house.code_for(elsewhere, second))
    before = (await house.me(login["access_token"])).json()

    await house.person(elsewhere, person_id=second, email=login["email"], is_active=False)

    after = (await house.me(login["access_token"])).json()
    assert {each["school_name"] for each in before["memberships"]} == {"Lincoln Elementary", "Jackson"}
    assert {each["school_name"] for each in after["memberships"]} == {"Lincoln Elementary"}


async def test_a_school_that_is_renamed_has_its_new_name_at_once(house: House) -> None:
    login = await house.login()
    await house.me(login["access_token"])

    event = SchoolChanged(
        school_id=login["school_id"], district_id=new_id(), name="Lincoln II", time_zone="UTC", grace_period_minutes=10
    )
    await house.hear(event, login["school_id"], about=login["school_id"])

    assert (await house.me(login["access_token"])).json()["school"]["name"] == "Lincoln II"


async def test_logins_do_not_get_each_others_answer(house: House) -> None:
    one, other = await house.login(), await house.login()

    emails = [(await house.me(each["access_token"])).json()["email"] for each in (one, other, one, other)]

    assert emails == [one["email"], other["email"]] * 2
