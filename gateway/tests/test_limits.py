"""How often one may ask, and from when on not at all."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from gateway.limits import Limiter, LocalLimiter, network_of
from gateway.settings import Quota, Settings
from gateway.tests.upstreams import Service, gateway
from shared.identity import Caller, Role
from shared.ids import new_id
from shared.redis_pipe import RedisPipe
from shared.testing.faults import wire_to
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens

SettingsOf = Callable[..., Settings]
Redis = redis.asyncio.Redis
PATH = "/api/v1/students"
SIGN_IN = "/api/v1/auth/sign-in"


@asynccontextmanager
async def client_of(settings: Settings, tokens: Tokens) -> AsyncGenerator[httpx.AsyncClient]:
    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


def limiter_on(pipe: RedisPipe, *, anonymous: Quota) -> Limiter:
    others = {name: Quota(name, 20_000, 60) for name in ("credentials", "user", "school")}
    return Limiter(pipe, anonymous=anonymous, **others)


async def admitted(asked: list[httpx.Response]) -> int:
    return [each.status_code for each in asked].count(200)


async def test_over_two_gateways_exactly_the_quota_is_admitted(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis
) -> None:
    settings = settings_of(anonymous_requests=40)

    async with client_of(settings, tokens) as one, client_of(settings, tokens) as other:
        answers = await asyncio.gather(*(client.get(PATH) for _ in range(60) for client in (one, other)))

    assert await admitted(answers) == 40
    assert {each.status_code for each in answers} == {200, 429}


async def test_refusals_are_counted_by_their_quota(settings_of: SettingsOf, tokens: Tokens) -> None:
    def refused() -> float:
        return REGISTRY.get_sample_value("homeroom_limiter_total", {"quota": "anonymous", "outcome": "refused"}) or 0

    before = refused()
    async with client_of(settings_of(anonymous_requests=2), tokens) as client:
        for _ in range(5):
            await client.get(PATH)

    assert refused() == before + 3


async def test_read_then_write_would_admit_more(clean_redis: Redis) -> None:
    """The control: the same load against a limiter that asks first and counts afterwards."""

    async def naive() -> bool:
        count = int(await clean_redis.get("naive") or 0)
        if count >= 40:
            return False
        await clean_redis.set("naive", count + 1)
        return True

    verdicts = await asyncio.gather(*(naive() for _ in range(80)))

    assert verdicts.count(True) > 40


async def test_who_waits_as_told_is_admitted(settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis) -> None:
    settings = settings_of(anonymous_requests=4, anonymous_window_s=4)

    async with client_of(settings, tokens) as client:
        await asyncio.gather(*(client.get(PATH) for _ in range(4)))
        refused = await client.get(PATH)
        await asyncio.sleep(int(refused.headers["retry-after"]))
        again = await client.get(PATH)

    assert refused.status_code == 429
    assert again.status_code == 200


async def test_a_refusal_says_how_to_go_on(settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis) -> None:
    async with client_of(settings_of(anonymous_requests=1), tokens) as client:
        first = await client.get(PATH)
        second = await client.get(PATH)

    assert first.headers["ratelimit-policy"] == '"anonymous";q=1;w=900'
    assert first.headers["ratelimit"] == '"anonymous";r=0;t=900'
    assert first.headers["ratelimit-remaining"] == "0"
    assert second.status_code == 429
    assert second.headers["content-type"] == "application/problem+json"
    assert second.json()["type"] == "/problems/too-many-requests"
    assert 890 <= int(second.headers["retry-after"]) <= 900
    assert second.headers["ratelimit-limit"] == "1"


async def test_spoofed_addresses_share_the_quota_of_the_real_one(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis
) -> None:
    spoofed = [{"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"203.0.113.{n}"} for n in range(30)]

    async with client_of(settings_of(anonymous_requests=10), tokens) as client:
        answers = await asyncio.gather(*(client.get(PATH, headers=headers) for headers in spoofed))

    assert await admitted(answers) == 10


async def test_signed_in_users_behind_one_address_have_quotas_of_their_own(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis
) -> None:
    users = [tokens.headers(Role.TEACHER, school_id=new_id()) for _ in range(3)]

    async with client_of(settings_of(anonymous_requests=1, user_requests=5), tokens) as client:
        answers = [await client.get(PATH, headers=user) for user in users for _ in range(6)]

    assert await admitted(answers) == 15
    assert answers[0].headers["ratelimit-policy"] == '"user";q=5;w=60'


@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1/0"], ids=["with Redis", "without"])
async def test_a_whole_school_behind_one_address_signs_in(
    settings_of: SettingsOf, tokens: Tokens, service: Service, redis_url: str | None
) -> None:
    overrides = {"redis_url": redis_url} if redis_url else {}

    async with client_of(settings_of(**overrides), tokens) as client:
        people = [await client.post(SIGN_IN, json={"email": f"{number}@school.example"}) for number in range(500)]
        others = [await client.post("/api/v1/auth/tokens") for _ in range(101)]

    assert await admitted(people) == 500
    assert people[0].headers["ratelimit-policy"] == '"credentials";q=3000;w=900'
    # The control: what is not marked as taking credentials is as scarce as before.
    assert [each.status_code for each in others] == [200] * 100 + [429]
    assert others[0].headers["ratelimit"].startswith('"anonymous";r=99;')
    assert len(service.asked) == 600


async def test_a_flood_of_credentials_is_refused_and_takes_nothing_from_others(
    settings_of: SettingsOf, tokens: Tokens, service: Service, clean_redis: Redis
) -> None:
    settings = settings_of(credentials_requests=20, anonymous_requests=1)

    async with client_of(settings, tokens) as client:
        flood = await asyncio.gather(*(client.post(SIGN_IN) for _ in range(30)))
        late = await client.post(SIGN_IN)
        read = await client.get(PATH)

    assert await admitted(flood) == 20
    assert (late.status_code, late.headers["ratelimit-policy"]) == (429, '"credentials";q=20;w=900')
    assert late.json()["detail"].startswith("20 requests in 900 s are allowed.")
    assert int(late.headers["retry-after"]) <= 45
    assert read.status_code == 200
    assert len(service.asked) == 21


async def test_a_bad_token_has_no_part_in_the_quota_of_credentials(
    settings_of: SettingsOf, tokens: Tokens, service: Service, clean_redis: Redis
) -> None:
    forged = {"Authorization": "Bearer forged"}

    async with client_of(settings_of(anonymous_requests=2), tokens) as client:
        answers = [await client.post(SIGN_IN, headers=forged) for _ in range(3)]
        honest = await client.post(SIGN_IN)

    assert [each.status_code for each in answers] == [401, 401, 429]
    assert honest.status_code == 200
    assert len(service.asked) == 1


async def test_who_is_signed_in_counts_as_themselves_with_credentials_too(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis
) -> None:
    async with client_of(settings_of(user_requests=1), tokens) as client:
        headers = tokens.headers(Role.TEACHER)
        answers = [await client.post(SIGN_IN, headers=headers) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"user";q=1;w=60'


async def test_the_documents_count_like_all_else_that_is_anonymous(settings_of: SettingsOf, tokens: Tokens) -> None:
    async with client_of(settings_of(anonymous_requests=4), tokens) as client:
        documents = [await client.get(path) for path in ("/openapi.json", "/docs", "/docs/docs.js")]
        read = await client.get(PATH)
        refused = [await client.get(path) for path in ("/openapi.json", "/docs", "/", "/nothing", PATH)]

    assert await admitted([*documents, read]) == 4
    assert documents[0].headers["ratelimit"] == '"anonymous";r=3;t=225'
    assert {each.status_code for each in refused} == {429}
    assert {each.headers["content-type"] for each in refused} == {"application/problem+json"}
    assert {each.headers["ratelimit-policy"] for each in refused} == {'"anonymous";q=4;w=900'}
    assert all(int(each.headers["retry-after"]) > 0 for each in refused)


async def test_control_who_watches_the_gateway_is_not_counted(settings_of: SettingsOf, tokens: Tokens) -> None:
    async with client_of(settings_of(anonymous_requests=1), tokens) as client:
        watched = [await client.get(path) for path in ("/health/live", "/health/ready", "/metrics") * 3]
        document = await client.get("/openapi.json")

    assert await admitted([*watched, document]) == 10
    assert not any("ratelimit" in each.headers for each in watched)


async def test_a_noisy_school_uses_up_its_own_quota_only(
    settings_of: SettingsOf, tokens: Tokens, clean_redis: Redis
) -> None:
    noisy, quiet = new_id(), new_id()

    async with client_of(settings_of(school_requests=10), tokens) as client:
        loud = [await client.get(PATH, headers=tokens.headers(Role.STUDENT, school_id=noisy)) for _ in range(12)]
        other = await client.get(PATH, headers=tokens.headers(Role.STUDENT, school_id=quiet))

    assert await admitted(loud) == 10
    assert loud[-1].headers["ratelimit-policy"] == '"school";q=10;w=60'
    assert other.status_code == 200


async def test_a_bad_token_is_refused_and_counts_by_address(
    settings_of: SettingsOf, tokens: Tokens, service: Service, clean_redis: Redis
) -> None:
    headers = {"Authorization": "Bearer forged"}

    async with client_of(settings_of(anonymous_requests=2), tokens) as client:
        answers = [await client.get(PATH, headers=headers) for _ in range(3)]

    assert [each.status_code for each in answers] == [401, 401, 429]
    assert answers[0].headers["www-authenticate"].startswith("Bearer")
    assert service.asked == []


@pytest.mark.parametrize("value", ["1", "1795000000"])
async def test_a_revoked_session_is_over(
    client: httpx.AsyncClient, tokens: Tokens, clean_redis: Redis, value: str
) -> None:
    session_id = str(new_id())
    headers = tokens.headers(Role.TEACHER, school_id=new_id(), sid=session_id)
    before = await client.get(PATH, headers=headers)

    await clean_redis.set(f"revoked:session:{session_id}", value)
    after = await client.get(PATH, headers=headers)
    other = await client.get(PATH, headers=tokens.headers(Role.TEACHER, school_id=new_id()))

    assert (before.status_code, after.status_code, other.status_code) == (200, 401, 200)


async def test_of_a_revoked_user_only_new_tokens_are_good(
    client: httpx.AsyncClient, tokens: Tokens, clean_redis: Redis
) -> None:
    user_id, now = new_id(), int(time.time())
    old = tokens.headers(Role.TEACHER, school_id=new_id(), user_id=user_id, iat=now - 60)
    new = tokens.headers(Role.TEACHER, school_id=new_id(), user_id=user_id, iat=now)

    await clean_redis.set(f"revoked:user:{user_id}", str(now - 10))
    refused = await client.get(PATH, headers=old)
    admitted = await client.get(PATH, headers=new)

    assert (refused.status_code, admitted.status_code) == (401, 200)


async def test_without_redis_each_gateway_limits_its_part(settings_of: SettingsOf, tokens: Tokens) -> None:
    settings = settings_of(redis_url="redis://127.0.0.1:1/0", anonymous_requests=20, replicas=2)

    async with client_of(settings, tokens) as client:
        answers = await asyncio.gather(*(client.get(PATH) for _ in range(30)))

    assert await admitted(answers) == 10
    assert {each.status_code for each in answers} == {200, 429}


@asynccontextmanager
async def frozen_redis(_: Stack) -> AsyncGenerator[int]:
    """The port of one that takes every question, and answers none."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@asynccontextmanager
async def slow_redis(stack: Stack) -> AsyncGenerator[int]:
    """The port of one that answers half a second late."""
    async with wire_to(urlsplit(stack.redis_url).port or 0) as wire:
        wire.delay_s = 0.5
        yield wire.port


@asynccontextmanager
async def dead_redis(_: Stack) -> AsyncGenerator[int]:
    yield 1


@pytest.mark.parametrize("fault", [frozen_redis, slow_redis, dead_redis], ids=lambda each: each.__name__)
async def test_a_redis_that_is_away_holds_nobody_up_for_long(
    stack: Stack,
    settings_of: SettingsOf,
    tokens: Tokens,
    fault: Callable[[Stack], AbstractAsyncContextManager[int]],
) -> None:
    headers = tokens.headers(Role.TEACHER)
    async with fault(stack) as port:
        settings = settings_of(redis_url=f"redis://127.0.0.1:{port}/0", redis_timeout_s=0.25, anonymous_requests=1000)
        async with client_of(settings, tokens) as client:
            first = await client.get(PATH, headers=headers)
            began = time.monotonic()
            answers = [await client.get(PATH, headers=each) for each in (headers, {}) * 10]
            seconds = time.monotonic() - began
            ready = await client.get("/health/ready")

    assert {each.status_code for each in [first, *answers]} == {200}
    assert seconds < 2.5  # a wait of 250 ms for each would be five seconds
    # All gateways would be out of rotation at once: Redis would have closed the schools.
    assert (ready.status_code, ready.json()["redis"]) == (200, False)


async def cut_off(redis: Redis) -> None:
    """End the other connections to this database: others' tests run on the same server."""
    own = await redis.client_id()
    database = str(redis.connection_pool.connection_kwargs["db"])
    for each in await redis.client_list():
        if each["db"] == database and int(each["id"]) != own:
            await redis.client_kill_filter(_id=each["id"])


async def test_redis_is_found_again(stack: Stack, clean_redis: Redis) -> None:
    pipe = RedisPipe(stack.redis_url, timeout_s=30)
    limiter = limiter_on(pipe, anonymous=Quota("anonymous", 3, 900))
    await limiter.admit("127.0.0.1", None)

    await cut_off(clean_redis)
    await asyncio.sleep(0.05)
    local = await limiter.admit("127.0.0.1", None)
    async with asyncio.timeout(60):
        while not await pipe.is_ready():
            await asyncio.sleep(0.05)
    shared = await limiter.admit("127.0.0.1", None)
    await pipe.close()

    assert local.is_admitted
    assert shared.remaining == 1


async def test_replies_never_reach_another_question(stack: Stack) -> None:
    """Half of the questions are given up while Redis answers; the others still get their own replies."""
    pipe = RedisPipe(stack.redis_url, timeout_s=30)
    assert await pipe.is_ready()

    async def ask(number: int) -> bytes:
        return await pipe.execute("ECHO", str(number))

    asked = [asyncio.create_task(ask(number)) for number in range(400)]
    await asyncio.sleep(0)
    for given_up in asked[::2]:
        given_up.cancel()
    replies = await asyncio.gather(*asked[1::2])
    late = await ask(1000)
    await pipe.close()

    assert replies == [str(number).encode() for number in range(1, 400, 2)]
    assert late == b"1000"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("not an address", "unknown"),
    ],
)
def test_an_address_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


@given(requests=st.integers(1, 50), window_s=st.integers(1, 100), gaps_ms=st.lists(st.integers(0, 3000), max_size=200))
def test_no_window_admits_more_than_twice_the_quota(requests: int, window_s: int, gaps_ms: list[int]) -> None:
    """A burst, and what flows back while it is used: GCRA's promise, of the local limiter."""
    now = 0.0
    limiter = LocalLimiter(1, clock=lambda: now)
    times: list[float] = []

    for gap in gaps_ms:
        now += gap / 1000
        if limiter.admit([("one", Quota("one", requests, window_s))]).is_admitted:
            times.append(now)

    in_window = [sum(1 for other in times if start <= other < start + window_s) for start in times]
    assert max(in_window, default=0) <= 2 * requests


def a_caller() -> Caller:
    now = int(time.time())
    return Caller(user_id=new_id(), session_id=new_id(), role=Role.TEACHER, expires_at=now + 600, issued_at=now)


@pytest.mark.parametrize("requests", [1, 7, 100, 600, 7001])
async def test_a_burst_admits_exactly_the_quota(stack: Stack, requests: int, clean_redis: Redis) -> None:
    pipe = RedisPipe(stack.redis_url, timeout_s=30)
    limiter = limiter_on(pipe, anonymous=Quota("anonymous", requests, 100_000))

    verdicts = await asyncio.gather(*(limiter.admit("127.0.0.1", None) for _ in range(requests + 20)))
    await pipe.close()

    assert sum(verdict.is_admitted for verdict in verdicts) == requests
    assert [verdict.remaining for verdict in verdicts[:2]] == [max(0, requests - 1), max(0, requests - 2)]
