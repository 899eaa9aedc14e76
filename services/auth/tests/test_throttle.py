"""Guessing passwords is slow, however many guess at once."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from services.auth.kit import Kit
from services.auth.passwords.actions import answer_requests
from services.auth.passwords.hashing import Passwords
from services.auth.passwords.rules import WeakPassword, require_strong
from services.auth.settings import Settings
from services.auth.tests.house import PASSWORD, House, slug
from services.auth.throttle import LocalCounters, Throttle, TooManyAttempts
from shared.database import Database
from shared.ids import new_id
from shared.problems import Unavailable
from shared.testing.faults import OwnRedis
from shared.testing.stack import Stack

WEAK = ("short", "password", "12345678", "aaaaaaaaa", "password1", "homeroom123")


async def test_the_sixth_guess_has_to_wait(house: House) -> None:
    ada = await house.login()

    answers = [await house.sign_in(ada["email"], f"guess {n}") for n in range(6)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert slug(answers[-1]) == "too-many-attempts"
    assert 890 <= int(answers[-1].headers["retry-after"]) <= 900
    assert (await house.sign_in(ada["email"])).status_code == 429, "the right password too"


async def test_an_unknown_address_is_throttled_alike(house: House) -> None:
    email = f"{new_id()}@home.test"

    answers = [await house.sign_in(email, "guess") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_parallel_guesses_do_not_slip_by(house: House) -> None:
    ada = await house.login()

    answers = await asyncio.gather(*(house.sign_in(ada["email"], f"guess {n}") for n in range(30)))

    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 25


async def test_control_a_counter_that_reads_before_it_writes_lets_parallel_guesses_slip_by(
    house: House, kit: Kit
) -> None:
    client: Any = redis.asyncio.from_url(kit.settings.redis_url, decode_responses=True)
    key, let_in = f"control:{new_id()}", 0

    async def attempt() -> None:
        nonlocal let_in
        if int(await client.get(key) or 0) < 5:
            await client.incr(key)
            let_in += 1

    async with client:
        await asyncio.gather(*(attempt() for _ in range(30)))

    assert let_in > 5


async def test_the_right_password_clears_ones_own_address(house: House) -> None:
    ada = await house.login()
    for _ in range(2):
        for n in range(4):
            await house.sign_in(ada["email"], f"guess {n}")
        assert (await house.sign_in(ada["email"])).status_code == 200


async def test_somebody_elsewhere_does_not_lock_one_out(house: House) -> None:
    ada = await house.login()
    for n in range(6):
        await house.sign_in(ada["email"], f"guess {n}", **{"x-client-ip": str(new_id())[:30] + "a"})
    for n in range(6):
        await house.sign_in(ada["email"], f"guess {n}", **{"x-client-ip": "203.0.113.9"})

    assert (await house.sign_in(ada["email"])).status_code == 200


async def test_many_addresses_together_have_a_limit_on_one_login(settings: Settings, house: House) -> None:
    account = str(new_id())
    for n in range(settings.attempts_per_account):
        await house.kit.throttle.count("sign-in", account, f"198.51.100.{n}")

    with pytest.raises(TooManyAttempts):
        await house.kit.throttle.count("sign-in", account, "203.0.113.1")


async def test_one_address_has_a_limit_on_all_logins(settings: Settings, house: House) -> None:
    for _ in range(settings.attempts_per_ip):
        await house.kit.throttle.count("sign-in", str(new_id()), house.ip)

    with pytest.raises(TooManyAttempts):
        await house.kit.throttle.count("sign-in", str(new_id()), house.ip)


async def test_a_whole_school_may_sign_in_from_one_address(settings: Settings, house: House) -> None:
    throttle = house.kit.throttle
    for _ in range(settings.attempts_per_ip - 1):
        await throttle.count("sign-in", str(new_id()), house.ip)

    for _ in range(5):
        async with throttle.attempt("sign-in", str(new_id()), house.ip):
            pass
    ada = await house.login()
    assert (await house.sign_in(ada["email"])).status_code == 200

    assert (await house.sign_in(ada["email"], "guess")).status_code == 401
    assert (await house.sign_in(ada["email"])).status_code == 429, "what was wrong stays counted"


@pytest.mark.parametrize("step", ["require_room", "matches"], ids=["at the door", "when the place was just taken"])
async def test_who_is_told_to_come_again_has_not_tried(
    monkeypatch: pytest.MonkeyPatch, house: House, step: str
) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("Too many at once.", headers={"Retry-After": "2"})

    ada = await house.login()
    with monkeypatch.context() as patch:
        patch.setattr(Passwords, step, refuse)
        answers = [await house.sign_in(ada["email"]) for _ in range(8)]

    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "2")}
    assert [(await house.sign_in(ada["email"], f"guess {n}")).status_code for n in range(6)] == [401] * 5 + [429]


async def test_a_right_code_takes_nothing_from_others_at_the_address(settings: Settings, house: House) -> None:
    for _ in range(settings.attempts_per_ip - 1):
        await house.kit.throttle.count("redeem", str(new_id()), house.ip)

    for _ in range(3):
        await house.login()


async def test_a_refused_attempt_does_not_count(house: House) -> None:
    """Who waits as told is let in: refusals do not push the end of the wait away."""
    account = str(new_id())
    for _ in range(5):
        await house.kit.throttle.count("sign-in", account, house.ip)
    for _ in range(40):
        with pytest.raises(TooManyAttempts):
            await house.kit.throttle.count("sign-in", account, house.ip)

    await house.kit.throttle.count("sign-in", account, "203.0.113.2")


async def test_without_redis_each_process_counts_for_itself(stack: Stack) -> None:
    throttle = Throttle(stack.settings(Settings, "auth", redis_url="redis://127.0.0.1:1/0"))
    for n in range(5):
        await throttle.count("sign-in", "somebody", f"198.51.100.{n}")

    with pytest.raises(TooManyAttempts) as refused:
        await throttle.count("sign-in", "somebody", "198.51.100.99")

    assert 890 <= int(refused.value.headers["Retry-After"]) <= 900
    for _ in range(10):
        async with throttle.attempt("sign-in", "somebody else", "198.51.100.99"):
            pass
    await throttle.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Generator[OwnRedis]:
    own = OwnRedis(tmp_path / "redis")
    yield own
    own.stop()


async def test_nobody_who_signs_in_waits_for_a_frozen_redis(stack: Stack, own_redis: OwnRedis) -> None:
    throttle = Throttle(stack.settings(Settings, "auth", redis_url=own_redis.url, redis_timeout_s=0.25))
    await throttle.count("sign-in", "somebody", "198.51.100.1")
    await own_redis.freeze()

    async with asyncio.timeout(2):  # a wait of 250 ms for each would be ten seconds
        for n in range(40):
            await throttle.count("sign-in", f"somebody {n}", "198.51.100.1")

    for _ in range(5):
        await throttle.count("sign-in", "somebody", "198.51.100.1")
    with pytest.raises(TooManyAttempts):
        await throttle.count("sign-in", "somebody", "198.51.100.1")
    await throttle.close()


async def test_local_counters_end_with_their_window(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    counters, now = LocalCounters(900), 1000.0
    monkeypatch.setattr("services.auth.throttle.time.monotonic", lambda: now)
    buckets = house.kit.throttle._buckets("sign-in", "somebody", "198.51.100.1")
    assert [counters.take(buckets) for _ in range(6)][:5] == [0] * 5
    assert counters.take(buckets) > 0

    now += 901

    assert counters.take(buckets) == 0


async def test_a_code_that_is_tried_again_and_again_has_to_wait(house: House) -> None:
    answers = [await house.accept("no-such-code") for _ in range(6)]
    resets = [
        await house.post("/auth/password-resets/confirm", {"code": "no-such-reset", "new_password": PASSWORD})
        for _ in range(6)
    ]

    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert [answer.status_code for answer in resets] == [422] * 5 + [429]


async def test_who_has_a_code_may_take_some_tries_to_find_a_password(house: House) -> None:
    school_id = await house.school()
    code = await house.code_for(school_id, await house.person(school_id))

    tried = [await house.accept(code, password) for password in (None, *WEAK)]

    assert [slug(answer) for answer in tried] == ["password-needed", *["weak-password"] * len(WEAK)]
    assert (await house.accept(code)).status_code == 200


async def test_who_has_a_code_of_a_reset_may_take_some_tries_too(house: House, database: Database) -> None:
    ada = await house.login()
    await house.post("/auth/password-resets", {"email": ada["email"]})
    await answer_requests(database, house.kit)
    code = house.opened(house.resets(ada["email"])[0])
    confirm = "/auth/password-resets/confirm"

    tried = [await house.post(confirm, {"code": code, "new_password": password}) for password in WEAK]

    assert {slug(answer) for answer in tried} == {"weak-password"}
    assert (await house.post(confirm, {"code": code, "new_password": "another good one"})).status_code == 204


async def test_control_a_password_that_is_looked_at_within_the_attempt_locks_the_holder_out(house: House) -> None:
    account = str(new_id())
    for _ in WEAK[:5]:
        with pytest.raises(WeakPassword):
            async with house.kit.throttle.attempt("redeem", account, house.ip):
                require_strong("short", email="a@b.test", pointer="/password")

    with pytest.raises(TooManyAttempts):
        await house.kit.throttle.count("redeem", account, house.ip)


async def test_a_whole_school_may_ask_from_one_address_which_password_is_needed(
    settings: Settings, house: House
) -> None:
    school_id = await house.school()
    codes = [await house.code_for(school_id, await house.person(school_id)) for _ in range(3)]
    for _ in range(settings.attempts_per_ip - 1):
        await house.kit.throttle.count("redeem", str(new_id()), house.ip)

    asked = [await house.accept(code, None) for code in codes]
    let_in = [await house.accept(code) for code in codes]

    assert {slug(answer) for answer in asked} == {"password-needed"}
    assert {answer.status_code for answer in let_in} == {200}
    assert (await house.accept("no-such-code")).status_code == 422
    assert (await house.accept("another-such-code")).status_code == 429, "a wrong code stays counted"


async def test_a_good_code_gives_nothing_back_of_what_was_guessed_beside_it(settings: Settings, house: House) -> None:
    """Who was invited may not go on guessing the codes of others for it."""
    school_id = await house.school()
    own = await house.code_for(school_id, await house.person(school_id))
    for n in range(settings.attempts_per_ip - 2):
        await house.kit.throttle.count("redeem", f"guess {n}", house.ip)

    answers = [await house.accept(code, None) for code in ("guess-a", own, own, "guess-b", own, "guess-c")]

    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 429, 429]


async def test_a_code_is_no_way_round_the_limit_on_a_password(house: House) -> None:
    anne = await house.login(role="guardian")
    other = await house.school()
    person_id = await house.person(other, "guardian", email=anne["email"])
    code = await house.code_for(other, person_id, role="guardian")
    for n in range(5):
        await house.sign_in(anne["email"], f"guess {n}")

    assert (await house.accept(code)).status_code == 429


async def test_a_good_code_does_not_make_guesses_at_a_password_free(house: House) -> None:
    anne = await house.login(role="guardian")
    other = await house.school()
    person_id = await house.person(other, "guardian", email=anne["email"])
    code = await house.code_for(other, person_id, role="guardian")

    answers = [await house.accept(code, f"guess {n}") for n in range(6)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_a_stolen_token_is_no_way_round_the_limit_on_a_password(house: House) -> None:
    ada = await house.login()
    body = {"current_password": "guess", "new_password": "another good one"}

    answers = [await house.post("/auth/password", body, token=ada["access_token"]) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_requests_of_mails_have_a_limit(house: House) -> None:
    email = f"{new_id()}@home.test"

    answers = [await house.post("/auth/password-resets", {"email": email}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
