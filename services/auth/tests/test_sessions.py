"""Signing in, and staying so."""

import asyncio
from uuid import UUID

import pytest
import redis.asyncio
from prometheus_client import REGISTRY

from services.auth.tests.house import PASSWORD, House, slug
from shared.database import Database
from shared.identity import Verifier
from shared.ids import new_id
from shared.testing.tokens import Tokens

AGE_SESSION = "UPDATE session SET used_at = used_at - interval '31 days' WHERE session_id = %(session_id)s"
REVIVE_SESSION = "UPDATE session SET revoked_at = NULL WHERE session_id = %(session_id)s"
CLOSE_LOGIN = "UPDATE account SET is_active = false WHERE email = %(email)s"


async def test_signing_in_opens_a_session_at_ones_school(house: House) -> None:
    ada = await house.login()

    answer = await house.sign_in(f"  {ada['email'].upper()} ")

    told = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (told["token_type"], told["expires_in"], told["must_change_password"]) == ("Bearer", 600, False)
    assert told["memberships"] == [
        {
            "membership_id": told["membership_id"],
            "school_id": str(ada["school_id"]),
            "school_name": "Lincoln Elementary",
            "role": "teacher",
        }
    ]


async def test_tokens_are_good_for_every_service_by_the_published_keys(house: House) -> None:
    ada = await house.login()

    async def keys() -> object:
        return (await house.client.get("/.well-known/jwks.json")).json()

    caller = await Verifier(keys).verify(ada["access_token"])  # pyright: ignore[reportArgumentType]

    assert (caller.role, caller.school_id, caller.person_id) == ("teacher", ada["school_id"], ada["person_id"])
    assert caller.expires_at - caller.issued_at == 600


async def test_unknown_wrong_and_closed_logins_look_the_same(house: House, database: Database) -> None:
    ada, closed = await house.login(), await house.login()
    async with database.transaction() as tx:
        await tx.execute(CLOSE_LOGIN, email=closed["email"])

    answers = [
        await house.sign_in(f"{new_id()}@home.test"),
        await house.sign_in(ada["email"], "not the password"),
        await house.sign_in(closed["email"]),
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text.partition('"trace_id"')[0] for answer in answers}) == 1
    assert slug(answers[0]) == "wrong-credentials"


async def test_unknown_and_closed_logins_cost_a_hash_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    real = __import__("services.auth.passwords.hashing", fromlist=["_matches"])._matches
    monkeypatch.setattr(
        "services.auth.passwords.hashing._matches", lambda hashed, given: checked.append(hashed) or real(hashed, given)
    )

    await house.sign_in(f"{new_id()}@home.test")

    assert len(checked) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@b.test"},
        {"email": "a@b.test", "password": ""},
        {"email": "a@b.test", "password": "x" * 257},
        {"email": "a\x00@b.test", "password": PASSWORD},
        {"email": "a@b.test", "password": PASSWORD, "role": "platform_admin"},
    ],
)
async def test_unreadable_sign_ins_are_refused_as_such(house: House, body: object) -> None:
    assert (await house.post("/auth/sign-in", body)).status_code == 400


async def test_a_password_may_hold_any_character(house: House) -> None:
    answer = await house.sign_in(f"{new_id()}@home.test", "nul \x00 and 🔑")

    assert answer.status_code == 401


async def test_each_refresh_hands_out_the_next_token(house: House) -> None:
    ada = await house.login()

    first = (await house.refresh(ada["refresh_token"])).json()
    second = (await house.refresh(first["refresh_token"])).json()

    assert len({ada["refresh_token"], first["refresh_token"], second["refresh_token"]}) == 3
    assert (await house.me(second["access_token"])).status_code == 200
    assert second["memberships"] == ada["memberships"]


async def test_a_lost_answer_can_be_had_again(house: House) -> None:
    ada = await house.login()
    lost = (await house.refresh(ada["refresh_token"])).json()

    again = await house.refresh(ada["refresh_token"])

    assert again.status_code == 200
    assert again.json()["refresh_token"] == lost["refresh_token"]


async def test_tabs_that_refresh_at_once_get_the_same_token(house: House) -> None:
    ada = await house.login()

    answers = await asyncio.gather(*(house.refresh(ada["refresh_token"]) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_an_old_token_that_comes_back_ends_the_session_for_good(house: House) -> None:
    ada = await house.login()
    second = (await house.refresh(ada["refresh_token"])).json()
    third = (await house.refresh(second["refresh_token"])).json()

    reused = await house.refresh(ada["refresh_token"])

    assert (reused.status_code, slug(reused)) == (401, "session-over")
    assert (await house.refresh(third["refresh_token"])).status_code == 401
    assert (await house.me(third["access_token"])).status_code == 401


async def test_control_a_token_that_was_never_issued_ends_nothing(house: House) -> None:
    ada = await house.login()

    made_up = await house.refresh("never-issued")

    assert (made_up.status_code, slug(made_up)) == (401, "session-over")
    assert (await house.refresh(ada["refresh_token"])).status_code == 200


async def test_a_session_that_nobody_used_for_a_month_is_over(house: House, database: Database) -> None:
    ada = await house.login()
    caller = await house.me(ada["access_token"])
    assert caller.status_code == 200
    async with database.transaction() as tx:
        await tx.execute(AGE_SESSION, session_id=session_of(ada["access_token"]))

    assert (await house.refresh(ada["refresh_token"])).status_code == 401


async def test_signing_out_ends_the_session_everywhere(house: House) -> None:
    ada = await house.login()

    answer = await house.post("/auth/sign-out", token=ada["access_token"])
    again = await house.post("/auth/sign-out", token=ada["access_token"])

    assert (answer.status_code, again.status_code) == (204, 204)
    assert (await house.refresh(ada["refresh_token"])).status_code == 401
    assert (await house.me(ada["access_token"])).status_code == 401
    assert 590 <= await seconds_revoked(house, ada["access_token"]) <= 600


async def test_revocations_that_redis_lost_are_told_again(house: House, database: Database) -> None:
    from services.auth.sessions.actions import tell_of_revoked  # noqa: PLC0415

    ada = await house.login()
    await house.post("/auth/sign-out", token=ada["access_token"])
    async with redis.asyncio.from_url(house.kit.settings.redis_url) as client:
        await client.delete(f"revoked:session:{session_of(ada['access_token'])}")

    await tell_of_revoked(database, house.kit)

    assert await seconds_revoked(house, ada["access_token"]) > 0


async def test_the_length_of_a_session_is_measured_once_when_it_ends(house: House) -> None:
    ada = await house.login()
    before = counted_sessions()

    await house.post("/auth/sign-out", token=ada["access_token"])
    await house.post("/auth/sign-out", token=ada["access_token"])

    assert counted_sessions() == before + 1


async def test_a_session_that_was_left_is_measured_when_it_is_forgotten(house: House, database: Database) -> None:
    from services.auth.sessions.actions import prune  # noqa: PLC0415

    while await prune(database, house.kit):
        pass
    ada, left = await house.login(), await house.login()
    await house.post("/auth/sign-out", token=ada["access_token"])
    async with database.transaction() as tx:
        for each in (ada, left):
            await tx.execute(AGE_SESSION, session_id=session_of(each["access_token"]))
    before = counted_sessions()

    while await prune(database, house.kit):
        pass

    assert counted_sessions() == before + 1


async def test_sessions_in_use_are_counted(house: House, database: Database) -> None:
    from services.auth.sessions.actions import measure  # noqa: PLC0415

    await house.login()

    await measure(database, house.kit)

    assert (REGISTRY.get_sample_value("homeroom_sessions_active") or 0) >= 1


def counted_sessions() -> float:
    return REGISTRY.get_sample_value("homeroom_session_seconds_count") or 0


async def test_other_sessions_outlive_a_sign_out(house: House) -> None:
    ada = await house.login()
    other = (await house.sign_in(ada["email"])).json()

    await house.post("/auth/sign-out", token=ada["access_token"])

    assert (await house.refresh(other["refresh_token"])).status_code == 200


async def test_me_tells_who_and_where_one_is(house: House) -> None:
    ada = await house.login()

    me = (await house.me(ada["access_token"])).json()

    assert (me["email"], me["name"], me["role"]) == (ada["email"], "Ada Lovelace", "teacher")
    assert me["school"] == {"school_id": str(ada["school_id"]), "name": "Lincoln Elementary"}
    assert (me["membership_id"], me["memberships"]) == (ada["membership_id"], ada["memberships"])


async def test_a_guardian_at_two_schools_switches_between_them(house: House) -> None:
    anne = await house.login(role="guardian")
    other_school = await house.school("Roosevelt Middle")
    both = await joins(house, anne["email"], other_school)
    wanted = next(each for each in both["memberships"] if each["school_id"] == str(other_school))
    signed_in = (await house.sign_in(anne["email"])).json()
    assert signed_in["membership_id"] == anne["membership_id"], "the first, always"

    switched = await house.post(
        "/auth/switch", {"membership_id": wanted["membership_id"]}, token=signed_in["access_token"]
    )

    me = (await house.me(switched.json()["access_token"])).json()
    refreshed = (await house.refresh(signed_in["refresh_token"])).json()
    assert switched.status_code == 200
    assert me["school"]["name"] == "Roosevelt Middle"
    assert refreshed["membership_id"] == wanted["membership_id"], "the session remembers"


async def test_nobody_switches_to_a_membership_of_somebody_else(house: House) -> None:
    ada, mallory = await house.login(), await house.login()

    for membership_id in (ada["membership_id"], str(new_id())):
        answer = await house.post("/auth/switch", {"membership_id": membership_id}, token=mallory["access_token"])
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "sign-out"), ("POST", "switch"), ("GET", "me"), ("POST", "password")]
)
async def test_ones_own_needs_a_token(house: House, method: str, path: str) -> None:
    answer = await house.client.request(method, f"/api/v1/auth/{path}")

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "sign-out"), ("POST", "switch"), ("GET", "me"), ("POST", "password")]
)
async def test_ones_own_needs_a_known_role(house: House, tokens: Tokens, method: str, path: str) -> None:
    answer = await house.client.request(method, f"/api/v1/auth/{path}", headers=tokens.headers("stranger"))

    assert answer.status_code == 403


async def test_who_leaves_is_out_at_once(house: House) -> None:
    ada = await house.login()

    await house.person(ada["school_id"], person_id=ada["person_id"], is_active=False)

    assert house.memberships(ada["school_id"])[-1].is_active is False
    assert await seconds_revoked(house, ada["access_token"]) > 0
    assert (await house.refresh(ada["refresh_token"])).status_code == 401
    refused = await house.sign_in(ada["email"])
    assert (refused.status_code, slug(refused)) == (403, "no-membership")


async def test_who_comes_back_is_in_again(house: House) -> None:
    ada = await house.login()
    await house.person(ada["school_id"], person_id=ada["person_id"], is_active=False)

    await house.person(ada["school_id"], person_id=ada["person_id"])

    told = house.told(ada["school_id"], "auth.membership_changed.v1")
    assert [each.is_active for each in house.memberships(ada["school_id"])] == [True, False, True]
    assert [each.version for each in told] == [1, 2, 3]
    assert (await house.sign_in(ada["email"])).json()["membership_id"] == ada["membership_id"]


async def test_late_news_of_a_person_change_nothing(house: House) -> None:
    ada = await house.login()
    await house.person(ada["school_id"], person_id=ada["person_id"], version=7)

    await house.person(ada["school_id"], person_id=ada["person_id"], is_active=False, version=6)

    assert (await house.refresh(ada["refresh_token"])).status_code == 200


async def test_an_address_that_becomes_anothers_ends_the_old_login(house: House) -> None:
    ada = await house.login()

    await house.person(ada["school_id"], person_id=ada["person_id"], email=f"{new_id()}@elsewhere.test")

    assert (await house.refresh(ada["refresh_token"])).status_code == 401


@pytest.mark.parametrize("email", [None, "same"])
async def test_control_an_address_that_is_lost_or_kept_ends_nothing(house: House, email: str | None) -> None:
    ada = await house.login()

    kept = ada["email"].upper() if email else None
    await house.person(ada["school_id"], person_id=ada["person_id"], email=kept)

    assert (await house.refresh(ada["refresh_token"])).status_code == 200


async def test_leaving_one_school_leaves_the_other_open(house: House) -> None:
    anne = await house.login(role="guardian")
    other_school = await house.school("Roosevelt Middle")
    both = await joins(house, anne["email"], other_school)

    await house.person(anne["school_id"], "guardian", person_id=anne["person_id"], is_active=False)

    refreshed = (await house.refresh(both["refresh_token"])).json()
    assert [each["school_name"] for each in refreshed["memberships"]] == ["Roosevelt Middle"]


async def test_a_session_never_slips_into_another_membership(house: House, database: Database) -> None:
    anne = await house.login(role="guardian")
    await joins(house, anne["email"], await house.school("Roosevelt Middle"))
    await house.person(anne["school_id"], "guardian", person_id=anne["person_id"], is_active=False)
    async with database.transaction() as tx:
        await tx.execute(REVIVE_SESSION, session_id=session_of(anne["access_token"]))

    assert (await house.refresh(anne["refresh_token"])).status_code == 401
    assert (await house.me(anne["access_token"])).status_code == 401, "it ended for good"


async def joins(house: House, email: str, school_id: UUID) -> dict[str, object]:
    person_id = await house.person(school_id, "guardian", email=email)
    answer = await house.accept(await house.code_for(school_id, person_id, role="guardian"))
    assert answer.status_code == 200, answer.text
    return answer.json()


def session_of(access_token: str) -> str:
    import jwt  # noqa: PLC0415

    return jwt.decode(access_token, options={"verify_signature": False})["sid"]


async def seconds_revoked(house: House, access_token: str) -> int:
    async with redis.asyncio.from_url(house.kit.settings.redis_url) as client:
        return await client.ttl(f"revoked:session:{session_of(access_token)}")
