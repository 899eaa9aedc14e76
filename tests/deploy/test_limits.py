"""Bar B16: real gateways admit exactly the quota, over four of them too, however many ask at once."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from gateway.tests.upstreams import Service, served
from shared.http_pool import Pool
from shared.http_wire import PoolLimits, Request
from shared.identity import Role
from shared.ids import new_id
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tests.deploy.edge import GatewayProcess, forget_quotas, started
from tests.deploy.house import keys_of
from tools.topology import SERVICE_NAMES

GATEWAYS: Final = 4
AT_ONCE: Final = 2000
QUOTA: Final = 700
WAITING: Final = 100
STUDENTS: Final = b"/api/v1/students"
NOBODY: Final[Mapping[str, str]] = {}
CLAIMS: Final = ("X-Forwarded-For", "X-Real-IP", "X-Client-IP")
SPOOFED: Final = [dict.fromkeys(CLAIMS, f"203.0.{number // 250}.{number % 250}") for number in range(1000)]


class Edge:
    """Gateways before one service, asked in turns, each over as many connections as there are questions."""

    def __init__(self, service: Service, gateways: Sequence[GatewayProcess]) -> None:
        self.service = service
        limits = PoolLimits(connections=AT_ONCE, connect_s=30)
        self._pools = [Pool(f"http://127.0.0.1:{each.port}", limits) for each in gateways]

    async def ask(self, number: int, headers: Mapping[str, str]) -> tuple[int, Mapping[bytes, bytes]]:
        pool = self._pools[number % len(self._pools)]
        fields = [
            (b"host", pool.authority),
            *((name.lower().encode(), told.encode()) for name, told in headers.items()),
        ]
        answer = await pool.request(Request(method=b"GET", target=STUDENTS, headers=fields), timeout_s=60)
        try:
            await answer.read_all(limit_bytes=10_000, timeout_s=60)
            return answer.status, dict(answer.headers)
        finally:
            answer.close()

    async def ask_all(self, asking: Sequence[Mapping[str, str]]) -> Counter[int]:
        """How often each status was answered, when all ask at once."""
        answers = await asyncio.gather(*(self.ask(number, headers) for number, headers in enumerate(asking)))
        return Counter(status for status, _ in answers)


@asynccontextmanager
async def edge(
    stack: Stack, tokens: Tokens, directory: Path, *, count: int = 1, module: str = "gateway", **env: object
) -> AsyncGenerator[Edge]:
    """Nobody stands before these gateways: an address is that of who connects. Who was admitted may wait for long."""
    forget_quotas(stack)
    service = Service()
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(served(service))
        told = {"TRUSTED_PROXY_HOPS": "0", "JWKS_URL": await opened.enter_async_context(keys_of(tokens))}
        # Nothing of a quota of a whole day flows back while the test goes on.
        told |= {"ANONYMOUS_WINDOW_S": "86400"}
        told |= {"UPSTREAM_WAITING": str(AT_ONCE), "UPSTREAM_WAIT_S": "60", "DEADLINE_S": "60"}
        told |= {name: str(value) for name, value in env.items()}
        upstreams = dict.fromkeys(SERVICE_NAMES, url)
        gateways = [GatewayProcess(directory, stack, upstreams, module=module, **told) for _ in range(count)]
        await opened.enter_async_context(started(gateways))
        yield Edge(service, gateways)


async def test_of_a_crowd_exactly_the_quota_is_admitted(stack: Stack, tokens: Tokens, tmp_path: Path) -> None:
    async with edge(stack, tokens, tmp_path, count=GATEWAYS, ANONYMOUS_REQUESTS=QUOTA) as asked:
        answers = await asked.ask_all([NOBODY] * AT_ONCE)

    assert answers == {200: QUOTA, 429: AT_ONCE - QUOTA}
    assert len(asked.service.asked) == QUOTA


async def test_a_limiter_that_asks_first_and_counts_afterwards_admits_more(
    stack: Stack, tokens: Tokens, tmp_path: Path
) -> None:
    """The control: the same crowd before gateways with the usual mistake."""
    broken = "tests.deploy.broken_gateway"
    async with edge(stack, tokens, tmp_path, count=GATEWAYS, module=broken, ANONYMOUS_REQUESTS=QUOTA) as asked:
        answers = await asked.ask_all([NOBODY] * AT_ONCE)

    assert answers[200] > QUOTA, "this crowd would not notice"


async def test_who_says_to_be_a_thousand_others_is_still_one(stack: Stack, tokens: Tokens, tmp_path: Path) -> None:
    async with edge(stack, tokens, tmp_path, ANONYMOUS_REQUESTS=100) as asked:
        answers = await asked.ask_all(SPOOFED)

    assert answers == {200: 100, 429: len(SPOOFED) - 100}


async def test_a_gateway_that_believes_its_clients_counts_a_thousand(
    stack: Stack, tokens: Tokens, tmp_path: Path
) -> None:
    """The control: told of a proxy that does not stand there, it takes each address for that of a client."""
    async with edge(stack, tokens, tmp_path, ANONYMOUS_REQUESTS=100, TRUSTED_PROXY_HOPS=1) as asked:
        answers = await asked.ask_all(SPOOFED)

    assert answers == {200: len(SPOOFED)}


async def test_who_waits_as_long_as_told_is_admitted(stack: Stack, tokens: Tokens, tmp_path: Path) -> None:
    async with edge(stack, tokens, tmp_path, USER_REQUESTS=5, USER_WINDOW_S=10) as asked:

        async def is_admitted_after(user: Mapping[str, str]) -> bool:
            turn = itertools.count()
            while (told := await asked.ask(next(turn), user))[0] == 200:
                pass
            await asyncio.sleep(int(told[1][b"retry-after"]))
            return (await asked.ask(next(turn), user))[0] == 200

        users = [tokens.headers(Role.TEACHER, school_id=new_id()) for _ in range(WAITING)]
        admitted = await asyncio.gather(*(is_admitted_after(user) for user in users))

    assert admitted == [True] * WAITING
