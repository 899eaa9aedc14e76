"""Letting people in."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.auth.tests.house import House, address, slug
from shared import clock
from shared.database import Database
from shared.ids import new_id
from shared.testing.tokens import Tokens

FORGED = """
INSERT INTO invite (
    school_id, invite_id, role, name, email, email_normalised, code_hash, created_at, expires_at
)
VALUES (%(school_id)s, %(id)s, 'school_admin', 'M', 'm@m.test', 'm@m.test', 'x', now(), now() + interval '1 day')
"""
ALL_INVITES = "SELECT count(*)::int FROM invite"


async def test_a_platform_admin_invites_the_first_administrator_of_a_school(house: House) -> None:
    school_id, email = await house.school(), f"{new_id()}@school.test"

    answer = await invite_admin(house, school_id, f" {email} ")

    mail = house.invites(school_id)[0]
    told = (await house.accept(house.opened(mail))).json()
    assert answer.status_code == 201
    assert (answer.json()["state"], answer.json()["role"]) == ("pending", "school_admin")
    assert (mail.email, mail.name, mail.school_name) == (email, "Grace Hopper", "Lincoln Elementary")
    assert timedelta(days=13) < mail.expires_at - clock.now() < timedelta(days=14)
    assert [each["role"] for each in told["memberships"]] == ["school_admin"]
    listed = await house.get("/invites", token=told["access_token"])
    assert [each["state"] for each in listed.json()["items"]] == ["accepted"]


async def test_an_administrator_is_not_invited_to_an_unknown_school(house: House) -> None:
    assert (await invite_admin(house, new_id(), "a@b.test")).status_code == 404


async def test_inviting_an_administrator_again_replaces_the_code(house: House) -> None:
    school_id, email = await house.school(), f"{new_id()}@school.test"
    first = await invite_admin(house, school_id, email)
    second = await invite_admin(house, school_id, email.upper())

    old, new = (house.opened(mail) for mail in house.invites(school_id))

    assert first.json()["id"] == second.json()["id"]
    assert (await house.accept(old)).status_code == 422
    assert (await house.accept(new)).status_code == 200


async def test_everybody_of_a_role_is_invited_at_once(house: House) -> None:
    school_id = await house.school()
    invited = [await house.person(school_id) for _ in range(3)]
    unreachable = await house.person(school_id, email=None)
    await house.person(school_id, is_active=False)
    await house.person(school_id, "guardian")
    await house.login(school_id)
    before = len(house.invites(school_id))

    answer = await house.post("/invites", {"role": "teacher"}, headers=house.admin(school_id))

    mails = house.invites(school_id)[before:]
    assert answer.status_code == 201
    assert answer.json() == {"issued": 3, "skipped": [{"person_id": str(unreachable), "reason": "no_email"}]}
    assert sorted(mail.email for mail in mails) == sorted(address(each) for each in invited)
    assert {(mail.role, mail.name, mail.school_name) for mail in mails} == {
        ("teacher", "Ada Lovelace", "Lincoln Elementary")
    }
    assert len({house.opened(mail) for mail in mails}) == 3


async def test_whoever_was_named_is_accounted_for(house: House) -> None:
    school_id = await house.school()
    fine, unknown = await house.person(school_id, "student"), new_id()
    inactive = await house.person(school_id, "student", is_active=False)
    unreachable = await house.person(school_id, "student", email=None)
    teacher, pending = await house.person(school_id), await house.person(school_id, "student")
    login = await house.login(school_id, role="student")
    await house.invite(school_id, pending, role="student")

    named = [fine, unknown, inactive, unreachable, teacher, pending, login["person_id"]]
    answer = await house.invite(school_id, *named, role="student")

    reasons = {each["person_id"]: each["reason"] for each in answer.json()["skipped"]}
    assert answer.json()["issued"] == 1
    assert reasons == {
        str(unknown): "unknown",
        str(inactive): "inactive",
        str(unreachable): "no_email",
        str(teacher): "unknown",
        str(pending): "invited",
        str(login["person_id"]): "has_login",
    }


async def test_two_who_invite_everybody_at_once_send_one_mail_each(house: House) -> None:
    school_id = await house.school()
    for _ in range(5):
        await house.person(school_id)

    answers = await asyncio.gather(
        *(house.post("/invites", {"role": "teacher"}, headers=house.admin(school_id)) for _ in range(3))
    )

    assert [answer.text for answer in answers if answer.status_code != 201] == []
    assert sum(answer.json()["issued"] for answer in answers) == 5
    assert len(house.invites(school_id)) == 5


async def test_a_whole_school_is_invited_in_one_go(house: House, database: Database) -> None:
    school_id = await house.school()
    async with database.transaction(school_id=school_id) as tx:
        await tx.execute(
            """
            INSERT INTO person (school_id, person_id, role, name, email, email_normalised, is_active, version)
            SELECT %(school_id)s, gen_random_uuid(), 'guardian', 'P', n || '@p.test', n || '@p.test', true, 1
            FROM generate_series(1, 1500) AS n
            """,
            school_id=school_id,
        )

    answer = await house.post("/invites", {"role": "guardian"}, headers=house.admin(school_id))

    assert answer.json() == {"issued": 1500, "skipped": []}
    assert len(house.invites(school_id)) == 1500


async def test_an_expired_invite_is_renewed_with_the_next_round(
    house: House, monkeypatch: pytest.MonkeyPatch, tokens: Tokens
) -> None:
    school_id = await house.school()
    person_id = await house.person(school_id)
    old = await house.code_for(school_id, person_id)
    later = clock.now() + timedelta(days=15)
    admin = tokens.headers("school_admin", school_id=school_id, exp=int(later.timestamp()) + 600)
    monkeypatch.setattr(clock, "now", lambda: later)

    listed = await house.get("/invites?state=expired", headers=admin)
    answer = await house.post("/invites", {"role": "teacher"}, headers=admin)

    assert len(listed.json()["items"]) == 1
    assert answer.json()["issued"] == 1
    assert (await house.accept(old)).status_code == 422
    assert (await house.accept(house.opened(house.invites(school_id)[-1]))).status_code == 200
    assert [each.version for each in house.told(school_id, "auth.invite_issued.v1")] == [1, 2]


async def test_coming_in_makes_a_login_and_tells_the_others(house: House) -> None:
    ada = await house.login()

    told = house.memberships(ada["school_id"])[0]

    assert (told.role, told.person_id, told.is_active) == ("teacher", ada["person_id"], True)
    assert str(told.membership_id) == ada["membership_id"]
    assert (await house.sign_in(ada["email"])).status_code == 200


async def test_without_a_password_the_answer_tells_which_is_needed(house: House) -> None:
    anne, school_id = await house.login(role="guardian"), await house.school()
    known = await house.person(school_id, "guardian", email=anne["email"])
    unknown = await house.person(school_id, "guardian")

    answers = [
        await house.accept(await house.code_for(school_id, each, role="guardian"), None) for each in (known, unknown)
    ]

    assert [(answer.status_code, slug(answer)) for answer in answers] == [(422, "password-needed")] * 2
    assert [answer.json()["has_login"] for answer in answers] == [True, False]


async def test_a_guardian_of_children_at_two_schools_has_one_login(house: House) -> None:
    anne, school_id = await house.login(role="guardian"), await house.school("Roosevelt Middle")
    person_id = await house.person(school_id, "guardian", email=anne["email"].upper())
    code = await house.code_for(school_id, person_id, role="guardian")

    wrong = await house.accept(code, "not her password")
    right = await house.accept(code)

    user_ids = {house.memberships(each)[0].user_id for each in (anne["school_id"], school_id)}
    assert (wrong.status_code, slug(wrong)) == (401, "wrong-credentials")
    assert right.status_code == 200
    assert len(right.json()["memberships"]) == 2
    assert (await house.me(right.json()["access_token"])).json()["school"]["name"] == "Roosevelt Middle"
    assert len(user_ids) == 1


async def test_two_records_of_one_guardian_join_one_login(house: House) -> None:
    anne = await house.login(role="guardian")
    twin = await house.person(anne["school_id"], "guardian", email=anne["email"])

    answer = await house.accept(await house.code_for(anne["school_id"], twin, role="guardian"))

    assert len(answer.json()["memberships"]) == 2
    assert {each.person_id for each in house.memberships(anne["school_id"])} == {anne["person_id"], twin}


async def test_a_code_lets_one_in_once(house: House) -> None:
    school_id = await house.school()
    code = await house.code_for(school_id, await house.person(school_id))

    answers = await asyncio.gather(*(house.accept(code) for _ in range(4)))

    assert [answer.status_code for answer in answers].count(200) == 1
    assert len(house.memberships(school_id)) == 1


async def test_unknown_used_expired_and_outdated_codes_look_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    school_id = await house.school()
    people = [await house.person(school_id) for _ in range(4)]
    used, expired, left, moved = [await house.code_for(school_id, each) for each in people]
    await house.accept(used)
    await house.person(school_id, person_id=people[2], is_active=False)
    await house.person(school_id, person_id=people[3], email=f"{new_id()}@elsewhere.test")
    now = [await house.accept(code) for code in ("unknown", used, left, moved)]
    later = clock.now() + timedelta(days=15)
    monkeypatch.setattr(clock, "now", lambda: later)

    answers = [*now, await house.accept(expired)]

    assert {(answer.status_code, slug(answer)) for answer in answers} == {(422, "code-refused")}
    assert len({answer.text.partition('"trace_id"')[0] for answer in answers}) == 1


async def test_a_weak_password_does_not_use_the_invite_up(house: House) -> None:
    school_id = await house.school()
    code = await house.code_for(school_id, await house.person(school_id))

    refused = await house.accept(code, "password1")

    assert (slug(refused), refused.json()["errors"][0]["pointer"]) == ("weak-password", "/password")
    assert slug(await house.accept(code, "short")) == "weak-password"
    assert (await house.accept(code)).status_code == 200


async def test_a_new_code_replaces_the_old_one(house: House) -> None:
    school_id = await house.school()
    person_id = await house.person(school_id)
    old = await house.code_for(school_id, person_id)
    invite = (await house.get("/invites", headers=house.admin(school_id))).json()["items"][0]
    await house.person(school_id, person_id=person_id, email=f"new-{person_id}@home.test")

    answer = await house.post(f"/invites/{invite['id']}/reissue", headers=house.admin(school_id))

    mail = house.invites(school_id)[-1]
    assert (answer.status_code, answer.json()["state"]) == (200, "pending")
    assert (str(mail.invite_id), mail.email) == (invite["id"], f"new-{person_id}@home.test")
    assert (await house.accept(old)).status_code == 422
    assert (await house.accept(house.opened(mail))).status_code == 200


async def test_what_was_accepted_or_cannot_arrive_is_not_reissued(house: House) -> None:
    school_id = await house.school()
    person_id = await house.person(school_id)
    code = await house.code_for(school_id, person_id)
    invite = (await house.get("/invites", headers=house.admin(school_id))).json()["items"][0]
    path, admin = f"/invites/{invite['id']}/reissue", house.admin(school_id)

    await house.person(school_id, person_id=person_id, email=None)
    unreachable = await house.post(path, headers=admin)
    await house.accept(code)
    accepted = await house.post(path, headers=admin)

    assert (unreachable.status_code, slug(unreachable)) == (409, "cannot-be-invited")
    assert (accepted.status_code, slug(accepted)) == (409, "invite-accepted")


async def test_invites_are_listed_by_page_and_state(house: House) -> None:
    school_id = await house.school()
    people = [await house.person(school_id) for _ in range(3)]
    await house.invite(school_id, *people)
    await house.accept(house.opened(house.invites(school_id)[0]))

    first = (await house.get("/invites?limit=2", headers=house.admin(school_id))).json()
    second = (await house.get(first["next"], headers=house.admin(school_id))).json()
    pending = (await house.get("/invites?state=pending&limit=1", headers=house.admin(school_id))).json()

    found = [each["person_id"] for each in first["items"] + second["items"]]
    assert sorted(found) == sorted(str(each) for each in people)
    assert second["next"] is None
    assert "state=pending" in pending["next"]
    assert (await house.get("/invites?state=lost", headers=house.admin(school_id))).status_code == 400


async def test_invites_of_another_school_do_not_exist(house: House) -> None:
    school_id, other = await house.school(), await house.school()
    person_id = await house.person(school_id)
    await house.invite(school_id, person_id)
    invite = (await house.get("/invites", headers=house.admin(school_id))).json()["items"][0]

    listed = await house.get("/invites", headers=house.admin(other))
    reissued = await house.post(f"/invites/{invite['id']}/reissue", headers=house.admin(other))
    invited = await house.invite(other, person_id)

    assert listed.json()["items"] == []
    assert reissued.status_code == 404
    assert invited.json() == {"issued": 0, "skipped": [{"person_id": str(person_id), "reason": "unknown"}]}


async def test_the_wall_stands_without_the_queries(house: House, database: Database) -> None:
    """Row-level security alone: one's own school and what one holds the code of, and nothing can be put elsewhere."""
    from psycopg.errors import InsufficientPrivilege  # noqa: PLC0415

    school_id, other = await house.school(), await house.school()
    await house.invite(school_id, *[await house.person(school_id) for _ in range(2)])

    async with database.transaction(school_id=other) as tx:
        assert await tx.value(int, ALL_INVITES) == 0
    async with database.transaction(capability="a hash that nobody has") as tx:
        assert await tx.value(int, ALL_INVITES) == 0
    async with database.transaction(school_id=school_id) as tx:
        assert await tx.value(int, ALL_INVITES) == 2, "control: there is something to see"
    with pytest.raises(InsufficientPrivilege):
        async with database.transaction(school_id=other) as tx:
            await tx.execute(FORGED, school_id=school_id, id=new_id())


async def test_a_code_opens_one_invite_only(house: House, database: Database) -> None:
    from services.auth.codes import hash_code  # noqa: PLC0415

    school_id = await house.school()
    await house.invite(school_id, *[await house.person(school_id) for _ in range(2)])
    code = house.opened(house.invites(school_id)[0])

    async with database.transaction(capability=hash_code(code)) as tx:
        assert await tx.value(int, ALL_INVITES) == 1


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/invites", {"role": "teacher"}),
    ("GET", "/invites", None),
    ("POST", f"/invites/{UUID(int=1)}/reissue", None),
    ("POST", "/admin-invites", {"school_id": str(new_id()), "email": "a@b.test", "name": "A"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_inviting_needs_a_token(house: House, method: str, path: str, body: Any) -> None:
    assert (await house.client.request(method, f"/api/v1{path}", json=body)).status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
@pytest.mark.parametrize("role", ["teacher", "guardian", "student", "password_change_only"])
async def test_inviting_needs_the_right_role(
    house: House, tokens: Tokens, method: str, path: str, body: Any, role: str
) -> None:
    headers = tokens.headers(role, school_id=new_id())

    assert (await house.client.request(method, f"/api/v1{path}", json=body, headers=headers)).status_code == 403


async def test_school_and_platform_invite_their_own_only(house: House) -> None:
    school_id = await house.school()

    by_school = await house.post("/admin-invites", ROUTES[3][2], headers=house.admin(school_id))
    by_platform = await house.post("/invites", {"role": "teacher"}, headers=house.platform())

    assert (by_school.status_code, by_platform.status_code) == (403, 403)


@pytest.mark.parametrize(
    "body", [{"role": "school_admin"}, {"role": "teacher", "person_ids": ["x"]}, {"role": "teacher", "all": True}, {}]
)
async def test_unreadable_wishes_are_refused(house: House, body: object) -> None:
    assert (await house.post("/invites", body, headers=house.admin(new_id()))).status_code == 400


@pytest.mark.parametrize("name", ["", "nul \x00", "x" * 201])
async def test_unreadable_names_are_refused(house: House, name: str) -> None:
    body = {"school_id": str(await house.school()), "email": "a@b.test", "name": name}

    assert (await house.post("/admin-invites", body, headers=house.platform())).status_code == 400


async def invite_admin(house: House, school_id: Any, email: str) -> Any:
    body = {"school_id": str(school_id), "email": email, "name": "Grace Hopper"}
    return await house.post("/admin-invites", body, headers=house.platform())
