"""Tokens: only ours, only unspoiled, and known again without a question."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
import msgspec
import pytest

from shared import identity
from shared.identity import Role, Verifier, keys_at
from shared.ids import new_id
from shared.problems import Unauthenticated, Unavailable
from shared.testing.tokens import Tokens


class Counted:
    """The keys of the test run, fetched slowly; counts how often."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self.fetches = tokens, 0
        self.is_down = False

    async def __call__(self) -> Mapping[str, Any]:
        self.fetches += 1
        await asyncio.sleep(0.02)
        if self.is_down:
            raise OSError
        return await self._tokens.keys()


@pytest.fixture
def keys(tokens: Tokens) -> Counted:
    return Counted(tokens)


def a_token(tokens: Tokens, **claims: object) -> str:
    return tokens.token(Role.TEACHER, school_id=new_id(), person_id=new_id(), **claims)


async def test_who_comes_while_keys_are_fetched_waits_for_them(tokens: Tokens, keys: Counted) -> None:
    verifier = Verifier(keys)

    callers = await asyncio.gather(*(verifier.verify(a_token(tokens)) for _ in range(20)))

    assert {each.role for each in callers} == {Role.TEACHER}
    assert keys.fetches == 1


async def unavailable(verifier: Verifier, tokens: Tokens, times: int) -> int:
    """How many of so many callers at once are told to come again."""
    asked = (verifier.verify(a_token(tokens)) for _ in range(times))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    return sum(isinstance(each, Unavailable) for each in answers)


async def test_who_waits_for_keys_that_do_not_come_waits_once(tokens: Tokens, keys: Counted) -> None:
    verifier = Verifier(keys)
    keys.is_down = True

    told = await unavailable(verifier, tokens, 15)

    assert (told, keys.fetches) == (15, 1)


async def test_who_comes_after_a_failure_has_keys_fetched_again(tokens: Tokens, keys: Counted) -> None:
    """The control: one after the other each is a question of its own."""
    verifier = Verifier(keys)
    keys.is_down = True
    told = [await unavailable(verifier, tokens, 1) for _ in range(3)]
    keys.is_down = False

    assert await verifier.verify(a_token(tokens))
    assert (told, keys.fetches) == ([1, 1, 1], 4)


class FrozenAuth:
    """Takes every question, and answers none until it is thawed."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self.is_frozen = tokens, True

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if self.is_frozen:
            await reader.read()
        else:
            body = msgspec.json.encode(await self._tokens.keys())
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self.meet, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()


async def test_a_frozen_auth_holds_nobody_up_for_long(tokens: Tokens) -> None:
    auth = FrozenAuth(tokens)
    async with auth.served() as url:
        verifier = Verifier(keys_at(url))
        began = time.monotonic()
        told = await unavailable(verifier, tokens, 15)
        seconds = time.monotonic() - began
        auth.is_frozen = False
        callers = await asyncio.gather(*(verifier.verify(a_token(tokens)) for _ in range(15)))

    assert told == 15
    assert seconds < 3 * 2  # each for itself would be thirty
    assert len(callers) == 15


async def test_invented_key_ids_cost_one_fetch(tokens: Tokens, keys: Counted) -> None:
    verifier = Verifier(keys)
    await verifier.verify(a_token(tokens))
    invented = [jwt.encode({"sub": "x"}, "s" * 32, headers={"kid": str(number)}) for number in range(50)]

    for token in invented:
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)

    assert keys.fetches == 1


async def test_known_keys_outlive_auth(tokens: Tokens, keys: Counted) -> None:
    verifier = Verifier(keys, cooldown_s=0)
    await verifier.verify(a_token(tokens))
    keys.is_down = True

    with pytest.raises(Unauthenticated):
        await verifier.verify(tokens.sign({"sub": "x"}, kid="unknown"))

    assert await verifier.verify(a_token(tokens))


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"iss": "somebody"},
        {"aud": "homeroom-internal"},
        {"aud": None},
        {"sub": "no uuid"},
        {"sid": None},
        {"role": None},
        {"nbf": 2**33},
        {"school": "no uuid"},
    ],
    ids=repr,
)
async def test_a_spoiled_token_is_refused(tokens: Tokens, claims: dict[str, object]) -> None:
    given = {
        "iss": identity.ISSUER,
        "aud": identity.AUDIENCE,
        "sub": str(new_id()),
        "sid": str(new_id()),
        "role": Role.TEACHER,
        "iat": NOW,
        "exp": NOW + 600,
        **claims,
    }

    with pytest.raises(Unauthenticated):
        await tokens.verifier.verify(tokens.sign({name: value for name, value in given.items() if value is not None}))


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": identity.SERVICE_TYPE}, {"crit": ["exp"]}], ids=repr)
async def test_a_token_of_another_kind_is_refused(tokens: Tokens, header: dict[str, Any]) -> None:
    claims = jwt.decode(a_token(tokens), options={"verify_signature": False})

    with pytest.raises(Unauthenticated):
        await tokens.verifier.verify(tokens.sign(claims, **header))


async def test_another_algorithm_is_refused(tokens: Tokens) -> None:
    claims = jwt.decode(a_token(tokens), options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"typ": identity.ACCESS_TYPE, "kid": "test-key"})
    shared = jwt.encode(claims, "s" * 32, algorithm="HS256", headers={"typ": identity.ACCESS_TYPE, "kid": "test-key"})

    for token in (unsigned, shared, "x" * 5000, "a.b.c", ""):
        with pytest.raises(Unauthenticated):
            await tokens.verifier.verify(token)


async def test_a_users_token_is_no_services_token(tokens: Tokens) -> None:
    service = tokens.service_headers("academic")["Authorization"].removeprefix("Bearer ")

    assert await tokens.verifier.verify_service(service) == "academic"
    with pytest.raises(Unauthenticated):
        await tokens.verifier.verify_service(a_token(tokens))
    with pytest.raises(Unauthenticated):
        await tokens.verifier.verify(service)


async def test_a_remembered_token_still_expires(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = a_token(tokens)
    caller = await tokens.verifier.verify(token)
    later = identity.clock.now().fromtimestamp(caller.expires_at + 1, tz=identity.clock.now().tzinfo)
    monkeypatch.setattr(identity.clock, "now", lambda: later)

    with pytest.raises(Unauthenticated):
        await tokens.verifier.verify(token)
