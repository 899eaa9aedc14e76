"""Changing a password, and setting a forgotten one anew."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from services.auth.passwords import queries
from services.auth.passwords.actions import answer_requests
from services.auth.passwords.hashing import Passwords
from services.auth.passwords.rules import COMMON, WeakPassword, require_strong
from services.auth.settings import Settings
from services.auth.tests.house import PASSWORD, House, slug
from shared import clock
from shared.database import Database
from shared.ids import new_id
from shared.problems import Unavailable
from shared.testing.races import one_held_up_by_the_other
from shared.testing.stack import Stack

NEW = "an even better horse"
COUNT_REQUESTS = "SELECT count(*)::int FROM password_reset_request"
CODES = "SELECT coalesce(string_agg(code_hash, ' '), '') FROM password_reset"


async def test_a_new_password_ends_every_session_but_the_new_one(house: House) -> None:
    ada = await house.login()
    other = (await house.sign_in(ada["email"])).json()

    answer = await change(house, ada["access_token"], PASSWORD, NEW)

    told = answer.json()
    assert answer.status_code == 200
    assert told["membership_id"] == ada["membership_id"]
    assert (await house.me(told["access_token"])).status_code == 200
    assert (await house.refresh(told["refresh_token"])).status_code == 200
    assert (await house.refresh(other["refresh_token"])).status_code == 401
    assert (await house.refresh(ada["refresh_token"])).status_code == 401
    assert (await house.sign_in(ada["email"])).status_code == 401
    assert (await house.sign_in(ada["email"], NEW)).status_code == 200


async def test_only_so_many_wait_for_a_hash() -> None:
    passwords = Passwords(threads=1, waiting=2, wait_s=60)
    try:
        asked = [passwords.matches(None, PASSWORD) for _ in range(5)]
        told = await asyncio.gather(*asked, return_exceptions=True)
        again = await passwords.matches(None, PASSWORD)
    finally:
        passwords.close()

    assert told[:3] == [False] * 3
    assert [each.headers["Retry-After"] for each in told[3:] if isinstance(each, Unavailable)] == ["2", "2"]
    assert again is False


async def test_nobody_waits_longer_for_a_hash_than_is_promised() -> None:
    passwords = Passwords(threads=1, waiting=100, wait_s=0.01)
    try:
        for _ in range(30):
            await passwords.matches(None, PASSWORD)
        asked = [passwords.matches(None, PASSWORD) for _ in range(20)]
        told = await asyncio.gather(*asked, return_exceptions=True)
        again = await passwords.matches(None, PASSWORD)
    finally:
        passwords.close()

    assert told[0] is False
    assert [each.headers["Retry-After"] for each in told if isinstance(each, Unavailable)] == ["2"] * 19
    assert again is False


async def test_who_comes_again_is_told_when_there_will_be_room() -> None:
    passwords = Passwords(threads=2, waiting=100, wait_s=1.5)
    passwords._hash_s, passwords._asked = 0.2, 40

    with pytest.raises(Unavailable) as refused:
        passwords.require_room()

    passwords.close()
    assert refused.value.headers["Retry-After"] == "4"


async def test_the_current_password_is_needed(house: House) -> None:
    ada = await house.login()

    answer = await change(house, ada["access_token"], "not it", NEW)

    assert (answer.status_code, slug(answer)) == (401, "wrong-credentials")
    assert (await house.sign_in(ada["email"])).status_code == 200


@pytest.mark.parametrize("weak", ["password123", "Homeroom123", "aaaaaaaaaaaa", "the address", PASSWORD])
async def test_weak_passwords_are_refused(house: House, weak: str) -> None:
    ada = await house.login()

    answer = await change(house, ada["access_token"], PASSWORD, ada["email"].upper() if weak == "the address" else weak)

    assert (answer.status_code, slug(answer)) == (422, "weak-password")
    assert answer.json()["errors"][0]["pointer"] == "/new_password"


async def test_a_short_password_is_refused(house: House) -> None:
    ada = await house.login()

    assert slug(await change(house, ada["access_token"], PASSWORD, "short 7")) == "weak-password"


def test_a_platform_admin_needs_a_longer_password() -> None:
    require_strong("fourteen chars", email="a@b.test", pointer="/new_password")

    with pytest.raises(WeakPassword):
        require_strong("fourteen chars", email="a@b.test", is_platform_admin=True, pointer="/new_password")


def test_the_list_of_common_passwords_is_long_and_of_possible_ones() -> None:
    assert len(COMMON) >= 200
    assert {each for each in COMMON if len(each) < 8} == set()
    assert {each for each in COMMON if each != each.casefold()} == set()


async def test_changes_at_once_have_one_winner(house: House) -> None:
    ada = await house.login()
    wanted = [f"{NEW} {n}" for n in range(3)]

    answers = await asyncio.gather(*(change(house, ada["access_token"], PASSWORD, each) for each in wanted))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


async def test_a_forgotten_password_is_set_anew_by_mail(house: House, database: Database) -> None:
    ada = await house.login()

    code = await reset_code(house, database, ada["email"].upper())
    answer = await confirm(house, code, NEW)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await house.refresh(ada["refresh_token"])).status_code == 401
    assert (await house.sign_in(ada["email"])).status_code == 401
    assert (await house.sign_in(ada["email"], NEW)).status_code == 200


async def test_the_answer_to_a_request_does_not_tell_who_has_a_login(house: House, database: Database) -> None:
    ada, unknown = await house.login(), f"{new_id()}@home.test"

    answers = [await house.post("/auth/password-resets", {"email": email}) for email in (ada["email"], unknown)]
    await answer_requests(database, house.kit)

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].text == answers[1].text
    assert (len(house.resets(ada["email"])), len(house.resets(unknown))) == (1, 0)
    assert await database.reader().value(int, COUNT_REQUESTS) == 0, "nothing is kept of the unknown"


async def test_requests_at_once_lead_to_one_mail(house: House, database: Database) -> None:
    ada = await house.login()
    await asyncio.gather(*(house.post("/auth/password-resets", {"email": ada["email"]}) for _ in range(3)))

    await asyncio.gather(*(answer_requests(database, house.kit) for _ in range(3)))

    assert len(house.resets(ada["email"])) == 1


async def test_a_code_is_good_once(house: House, database: Database) -> None:
    ada = await house.login()
    code = await reset_code(house, database, ada["email"])

    answers = await asyncio.gather(*(confirm(house, code, f"{NEW} {n}") for n in range(4)))

    assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422]


async def test_unknown_used_and_expired_codes_look_the_same(
    house: House, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, eve = await house.login(), await house.login()
    used = await reset_code(house, database, ada["email"])
    await confirm(house, used, NEW)
    expired = await reset_code(house, database, eve["email"])
    later = clock.now() + timedelta(minutes=61)
    monkeypatch.setattr(clock, "now", lambda: later)

    answers = [await confirm(house, code, NEW) for code in ("unknown", used, expired)]

    assert {(answer.status_code, slug(answer)) for answer in answers} == {(422, "code-refused")}
    assert len({answer.text.partition('"trace_id"')[0] for answer in answers}) == 1


async def test_a_weak_password_does_not_use_the_code_up(house: House, database: Database) -> None:
    ada = await house.login()
    code = await reset_code(house, database, ada["email"])

    assert slug(await confirm(house, code, "password123")) == "weak-password"
    assert (await confirm(house, code, NEW)).status_code == 204


async def test_a_new_password_makes_older_codes_useless(house: House, database: Database) -> None:
    ada = await house.login()
    code = await reset_code(house, database, ada["email"])
    await change(house, ada["access_token"], PASSWORD, NEW)

    assert (await confirm(house, code, "yet another horse")).status_code == 422


async def test_a_newer_code_replaces_the_older(house: House, database: Database) -> None:
    ada, eve = await house.login(), await house.login()
    others = await reset_code(house, database, eve["email"])
    old, new = [await reset_code(house, database, ada["email"]) for _ in range(2)]

    answers = [await confirm(house, code, NEW) for code in (old, new, others)]

    assert [answer.status_code for answer in answers] == [422, 204, 204]
    assert slug(answers[0]) == "code-refused"


async def answered_at_once(
    house: House, database: Database, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> list[bool]:
    """Which codes are good of a login whose two requests are answered by two workers at the same time."""
    ada = await house.login()
    await house.post("/auth/password-resets", {"email": ada["email"]})

    async def answer() -> bool:
        return await answer_requests(database, house.kit)

    async def ask_and_answer() -> bool:
        await house.post("/auth/password-resets", {"email": ada["email"]})
        return await answer_requests(database, house.kit)

    await one_held_up_by_the_other(stack, monkeypatch, queries, "add_resets", first=answer, second=ask_and_answer)
    codes = [house.opened(mail) for mail in house.resets(ada["email"])]
    return sorted([slug(await confirm(house, code, "short")) == "weak-password" for code in codes])


async def test_of_two_codes_that_are_made_at_once_one_is_good(
    house: House, database: Database, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await answered_at_once(house, database, stack, monkeypatch) == [False, True]


async def test_control_without_the_lock_both_of_them_are_good(
    house: House, database: Database, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOCK_ANSWERS", "SELECT 1")

    assert await answered_at_once(house, database, stack, monkeypatch) == [True, True]


async def test_a_mailbox_gets_so_many_mails_and_nobody_is_told(
    settings: Settings, house: House, database: Database
) -> None:
    ada, unknown = await house.login(), f"{new_id()}@home.test"

    answers = [
        await ask_from_elsewhere(house, database, email)
        for email in (ada["email"], ada["email"].upper(), unknown)
        for _ in range(settings.reset_mails)
    ]

    mails = house.resets(ada["email"])
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert len(mails) == settings.reset_mails
    assert (await confirm(house, house.opened(mails[-1]), NEW)).status_code == 204, "the last one is good"


async def ask_from_elsewhere(house: House, database: Database, email: str) -> httpx.Response:
    answer = await house.post("/auth/password-resets", {"email": email}, headers={"x-client-ip": str(new_id())})
    await answer_requests(database, house.kit)
    return answer


async def test_control_other_mailboxes_get_theirs(settings: Settings, house: House, database: Database) -> None:
    people = [await house.login() for _ in range(settings.reset_mails + 1)]

    for ada in people:
        await ask_from_elsewhere(house, database, ada["email"])

    assert [len(house.resets(ada["email"])) for ada in people] == [1] * len(people)


async def test_codes_are_kept_as_hashes_and_travel_sealed(house: House, database: Database) -> None:
    ada = await house.login()
    code = await reset_code(house, database, ada["email"])

    kept = await database.reader().value(str, CODES)

    assert kept
    assert code not in kept
    assert code.encode() not in bytes(house.told(None, "auth.password_reset_requested.v1")[-1].data)


async def change(house: House, token: str, current: str, new: str) -> httpx.Response:
    return await house.post("/auth/password", {"current_password": current, "new_password": new}, token=token)


async def confirm(house: House, code: str, new: str) -> httpx.Response:
    return await house.post("/auth/password-resets/confirm", {"code": code, "new_password": new})


async def reset_code(house: House, database: Database, email: str) -> str:
    answer = await house.post("/auth/password-resets", {"email": email})
    assert answer.status_code == 202
    await answer_requests(database, house.kit)
    return house.opened(house.resets(email.lower())[-1])
