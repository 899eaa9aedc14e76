"""Whoever leaves in the very moment in which they come in is out."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from services.auth.invites import queries as invites
from services.auth.memberships import queries as memberships
from services.auth.sessions import queries as sessions
from services.auth.tests.house import PASSWORD, House, address, slug
from shared.testing.races import one_held_up_by_the_other
from shared.testing.stack import Stack

NEW = "an even better horse"
PERSON_FIRST = (memberships, "follow_person")
"""The person's event has ended the memberships that it saw."""
REVOKED_FIRST = (invites, "expire_outdated")
"""The person's event has done all that it does."""
ACCEPTED_FIRST = (invites, "accept")
SESSION_FIRST = (sessions, "add_session")
SWITCHED_FIRST = (sessions, "choose_membership")
EVENTS = (PERSON_FIRST, REVOKED_FIRST)

Come = Callable[[House, dict[str, Any]], Coroutine[Any, Any, httpx.Response]]


async def signing_in(house: House, ada: dict[str, Any]) -> httpx.Response:
    return await house.sign_in(ada["email"])


async def switching(house: House, ada: dict[str, Any]) -> httpx.Response:
    return await house.post("/auth/switch", {"membership_id": ada["membership_id"]}, token=ada["elsewhere"])


async def choosing_a_password(house: House, ada: dict[str, Any]) -> httpx.Response:
    body = {"current_password": PASSWORD, "new_password": NEW}
    return await house.post("/auth/password", body, token=ada["access_token"])


async def at_once(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str], come: Any, leave: Any
) -> httpx.Response:
    """The answer to who comes."""
    first, second = (leave, come) if order in EVENTS else (come, leave)
    done = await one_held_up_by_the_other(stack, monkeypatch, *order, first=first, second=second)
    return done[1] if order in EVENTS else done[0]


async def accepted_and_left(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str]
) -> tuple[int, int]:
    """What is answered to the code, and then to the password."""
    school_id = await house.school()
    person_id = await house.person(school_id)
    code = await house.code_for(school_id, person_id)

    async def come() -> httpx.Response:
        return await house.accept(code)

    async def leave() -> None:
        await house.person(school_id, person_id=person_id, is_active=False)

    answer = await at_once(house, stack, monkeypatch, order, come, leave)
    return answer.status_code, (await house.sign_in(address(person_id))).status_code


async def came_and_left(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str], way: Come
) -> tuple[httpx.Response, bool]:
    """What is answered to somebody with a login at two schools, and whether the session that they got still lives."""
    ada = await house.login(role="guardian")
    other = await house.school()
    person_id = await house.person(other, "guardian", email=ada["email"])
    elsewhere = await house.accept(await house.code_for(other, person_id, role="guardian"))
    ada["elsewhere"] = elsewhere.json()["access_token"]

    async def come() -> httpx.Response:
        return await way(house, ada)

    async def leave() -> None:
        await house.person(ada["school_id"], "guardian", person_id=ada["person_id"], is_active=False)

    answer = await at_once(house, stack, monkeypatch, order, come, leave)
    is_at_the_school = answer.json().get("membership_id") == ada["membership_id"]
    return answer, is_at_the_school and (await house.me(answer.json()["access_token"])).status_code == 200


@pytest.mark.parametrize(
    ("order", "answers"),
    [(PERSON_FIRST, (422, 401)), (ACCEPTED_FIRST, (200, 403))],
    ids=["who leaves is first", "who accepts is first"],
)
async def test_who_leaves_while_accepting_is_out(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str], answers: tuple[int, int]
) -> None:
    assert await accepted_and_left(house, stack, monkeypatch, order) == answers


@pytest.mark.parametrize("order", [PERSON_FIRST, ACCEPTED_FIRST], ids=["who leaves is first", "who accepts is first"])
async def test_control_without_holding_the_person_who_leaves_while_accepting_is_in_for_good(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str]
) -> None:
    monkeypatch.setattr(invites, "ACCEPT", invites.ACCEPT.replace("FOR SHARE", ""))

    assert await accepted_and_left(house, stack, monkeypatch, order) == (200, 200)


WAYS = [
    pytest.param(REVOKED_FIRST, signing_in, id="signing in, who leaves is first"),
    pytest.param(SESSION_FIRST, signing_in, id="signing in first"),
    pytest.param(REVOKED_FIRST, switching, id="switching, who leaves is first"),
    pytest.param(SWITCHED_FIRST, switching, id="switching first"),
    pytest.param(SESSION_FIRST, choosing_a_password, id="choosing a password first"),
]


@pytest.mark.parametrize(("order", "way"), WAYS)
async def test_no_session_outlives_who_leaves_while_it_is_made(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str], way: Come
) -> None:
    _, lives = await came_and_left(house, stack, monkeypatch, order, way)

    assert not lives


@pytest.mark.parametrize(("order", "way"), WAYS)
async def test_control_without_holding_the_membership_the_session_lives(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch, order: tuple[Any, str], way: Come
) -> None:
    monkeypatch.setattr(memberships, "HOLD", memberships.HOLD.replace("FOR SHARE", ""))

    _, lives = await came_and_left(house, stack, monkeypatch, order, way)

    assert lives


async def test_who_leaves_one_school_while_signing_in_is_let_into_the_other(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, _ = await came_and_left(house, stack, monkeypatch, REVOKED_FIRST, signing_in)

    assert answer.status_code == 200
    assert [each["membership_id"] for each in answer.json()["memberships"]] == [answer.json()["membership_id"]]


async def test_a_membership_that_ends_meanwhile_is_not_switched_to(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, _ = await came_and_left(house, stack, monkeypatch, REVOKED_FIRST, switching)

    assert (answer.status_code, slug(answer)) == (404, "not-found")


async def test_who_leaves_and_who_chooses_a_password_do_not_wait_for_each_other(
    house: House, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event has the membership and is yet to end the session, which the new password ends as well."""
    answer, _ = await came_and_left(house, stack, monkeypatch, PERSON_FIRST, choosing_a_password)

    assert answer.status_code == 200, "at the other school"
