"""The edge, as deploy/nginx/nginx.conf describes it: weights, headers, limits, streams, and gateways that die."""

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.settings import Settings
from gateway.tests.upstreams import Service, answer, served
from shared.testing.stack import Stack
from tests.deploy.edge import CONFIGURATION, WEIGHTS, GatewayProcess, Load, Nginx, forget_quotas, started
from tools.embedded.processes import free_port
from tools.topology import SERVICE_NAMES

TEXT = CONFIGURATION.read_text()
STUDENTS = "/api/v1/students"
DEFAULTS: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(Settings)}


class Counted:
    """What stands in for three gateways, where only the edge itself is looked at."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.fields: list[dict[bytes, bytes]] = []
        self.bodies: list[int] = []

    def of(self, number: int) -> Any:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            self.asked[number] += 1
            self.fields.append(dict(scope["headers"]))
            size = 0
            while True:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
            self.bodies.append(size)
            await answer(send, b"{}")

        return app


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncGenerator[tuple[Nginx, Counted]]:
    counted = Counted()
    async with served(counted.of(1)) as one, served(counted.of(2)) as two, served(counted.of(3)) as three:
        nginx = Nginx(tmp_path, [int(url.rpartition(":")[2]) for url in (one, two, three)], TEXT)
        async with started([nginx]):
            yield nginx, counted


def shares(text: str) -> tuple[int, ...]:
    return tuple(int(weight) for weight in re.findall(r"server gateway-[0-9]+:8000 weight=([0-9]+)", text))


async def test_work_is_shared_by_weight(counted: tuple[Nginx, Counted]) -> None:
    nginx, gateways = counted
    async with httpx.AsyncClient(base_url=nginx.url, trust_env=False) as client:
        for number in range(sum(WEIGHTS) * 10):
            assert (await client.get(f"/{number}")).is_success

    assert shares(TEXT) == WEIGHTS
    assert tuple(gateways.asked[number] for number in (1, 2, 3)) == tuple(10 * weight for weight in WEIGHTS)


async def test_what_a_client_says_of_itself_is_overwritten(counted: tuple[Nginx, Counted]) -> None:
    nginx, gateways = counted
    lies = {"X-Forwarded-For": "6.6.6.6, 7.7.7.7", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6"} | {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X_Forwarded_For": "6.6.6.6",
        "Host": "school.example",
        "Connection": "close, X-Real-IP",
    }
    async with httpx.AsyncClient(base_url=nginx.url, trust_env=False) as client:
        await client.get("/", headers=lies)

    fields = gateways.fields[-1]
    assert fields[b"x-forwarded-for"] == fields[b"x-real-ip"] == b"127.0.0.1"
    assert fields[b"x-forwarded-proto"] == b"http"
    assert fields[b"host"] == fields[b"x-forwarded-host"] == b"school.example"
    assert b"6.6.6.6" not in b" ".join(fields.values())
    assert b"forwarded" not in fields
    assert b"connection" not in fields


async def test_a_body_may_be_as_large_as_the_gateway_allows(counted: tuple[Nginx, Counted]) -> None:
    nginx, gateways = counted
    limits = {STUDENTS: DEFAULTS["body_bytes"], "/api/v1/imports": DEFAULTS["import_body_bytes"]}
    async with httpx.AsyncClient(base_url=nginx.url, trust_env=False, timeout=60) as client:
        for path, most in limits.items():
            assert (await client.post(path, content=b"x" * most)).is_success
            assert gateways.bodies[-1] == most
            assert (await client.post(path, content=b"x" * (most + 1))).status_code == 413


async def test_metrics_are_not_for_the_outside(counted: tuple[Nginx, Counted]) -> None:
    nginx, gateways = counted
    async with httpx.AsyncClient(base_url=nginx.url, trust_env=False) as client:
        for path in ("/metrics", "/metrics/", "/%6detrics"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.get("/nginx/live")).text == "live\n"

    assert not gateways.asked


CANARY, CLIENT = "Ada-Lovelace", "127.0.0.9"
TALKATIVE = TEXT.replace("    error_log /dev/stderr emerg;\n", "")


async def logs_after_trouble(directory: Path, text: str) -> str:
    """A body that is put aside, a gateway that is gone, and a disk that takes nothing."""
    counted = Counted()
    async with served(counted.of(1)) as one, served(counted.of(2)) as two:
        ports = [int(url.rpartition(":")[2]) for url in (one, two)]
        nginx = Nginx(directory, [*ports, free_port()], text)
        async with started([nginx]):
            transport = httpx.AsyncHTTPTransport(local_address=CLIENT)
            async with httpx.AsyncClient(base_url=nginx.url, transport=transport, params={"q": CANARY}) as client:
                statuses = [(await client.post(STUDENTS, content=b"x" * 20_000)).status_code]
                statuses += [(await client.get(STUDENTS)).status_code for _ in range(sum(WEIGHTS))]
                (nginx.directory / "client_body").rmdir()
                (nginx.directory / "client_body").touch()
                statuses.append((await client.post(STUDENTS, content=b"x" * 20_000)).status_code)
        assert statuses == [200, *[200] * sum(WEIGHTS), 500]
        assert nginx.tried_again()
    return "".join((nginx.directory / f"{log}.log").read_text() for log in ("access", "error", "output"))


async def test_no_log_holds_an_address_or_a_query(tmp_path: Path) -> None:
    logs = await logs_after_trouble(tmp_path, TEXT)

    assert STUDENTS in logs
    assert CANARY not in logs
    assert CLIENT not in logs


async def test_control_nginx_tells_of_both_unless_it_is_told_not_to(tmp_path: Path) -> None:
    told = [line for line in (await logs_after_trouble(tmp_path, TALKATIVE)).splitlines() if CANARY in line]

    assert TALKATIVE != TEXT
    assert all(CLIENT in line for line in told)
    assert {level for line in told for level in re.findall(r" \[(\w+)\] ", line)} == {"warn", "error", "crit"}


async def test_slow_clients_hold_no_gateway(counted: tuple[Nginx, Counted]) -> None:
    """A body that comes in drops is awaited by nginx alone."""
    nginx, gateways = counted
    reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    await writer.drain()
    await asyncio.sleep(0.5)
    before = gateways.asked.total()
    writer.write(b"cd")
    answered = await asyncio.wait_for(reader.readline(), 60)
    writer.close()

    assert before == 0
    assert answered.startswith(b"HTTP/1.1 200")


def test_patience_ends_before_the_gateways() -> None:
    """Kept-alive connections, heads and answers: who waits longer than the one behind it sees what it told."""
    found = {name: int(value) for name, value in re.findall(r"^ {8}(\w+) ([0-9]+)s;", TEXT, re.MULTILINE)}

    assert found["keepalive_timeout"] < DEFAULTS["keep_alive_s"]
    assert found["proxy_read_timeout"] > DEFAULTS["deadline_s"]
    imports = TEXT[TEXT.index("location = /api/v1/imports") :]
    assert int(re.search(r"proxy_read_timeout ([0-9]+)s", imports)[1]) > DEFAULTS["import_deadline_s"]
    assert found["proxy_connect_timeout"] <= 1


class Pondering(Service):
    """Takes its time, so that at any moment each gateway has something in hand."""

    async def echo(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05)
        await super().echo(scope, receive, send)


class House:
    """Three real gateways before one service that stands in for all, with nginx in front of them."""

    def __init__(self, service: Service, gateways: list[GatewayProcess]) -> None:
        self.service = service
        self.gateways = gateways
        self.nginx: Nginx


@pytest.fixture(scope="module")
async def gateways(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> AsyncGenerator[House]:
    forget_quotas(stack)
    service = Pondering()
    directory = tmp_path_factory.mktemp("gateways")
    async with served(service) as url:
        found = [GatewayProcess(directory, stack, dict.fromkeys(SERVICE_NAMES, url)) for _ in WEIGHTS]
        async with started(found):
            yield House(service, found)


@pytest.fixture
async def house(request: pytest.FixtureRequest, tmp_path: Path, gateways: House) -> AsyncGenerator[House]:
    """With an nginx of the test's own; gateways that it killed come back."""
    gateways.service.handler = gateways.service.echo
    gateways.nginx = Nginx(tmp_path, [gateway.port for gateway in gateways.gateways], getattr(request, "param", TEXT))
    async with started([gateways.nginx]):
        yield gateways
    for gateway in gateways.gateways:
        if not gateway.process.is_running:
            await asyncio.to_thread(gateway.start)


async def test_the_gateway_sees_the_client_whom_nginx_saw(house: House) -> None:
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.7")
    async with httpx.AsyncClient(base_url=house.nginx.url, transport=transport) as client:
        answered = await client.get(STUDENTS, headers={"X-Forwarded-For": "6.6.6.6", "X-Client-IP": "6.6.6.6"})

    assert answered.is_success
    assert house.service.fields[b"x-client-ip"] == b"127.0.0.7"
    assert house.service.fields[b"x-forwarded-for"] == b"127.0.0.7"


async def test_live_streams_are_passed_on_as_they_come(house: House) -> None:
    is_read = asyncio.Event()

    async def stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await asyncio.wait_for(is_read.wait(), 60)
        await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": False})

    house.service.handler = stream
    async with (
        httpx.AsyncClient(base_url=house.nginx.url, trust_env=False) as client,
        client.stream("GET", "/api/v1/inbox/stream") as response,
    ):
        parts = response.aiter_raw()
        assert await anext(parts) == b"data: 1\n\n"
        is_read.set()
        assert await anext(parts) == b"data: 2\n\n"


TURNS = itertools.cycle(("GET", "GET", "PUT", "DELETE"))


async def idempotent(client: httpx.AsyncClient, number: int) -> httpx.Response:
    return await client.request(next(TURNS), f"{STUDENTS}/{number}", content=b"{}")


async def killed_under_load(house: House) -> Load:
    """Two of three gateways, one after the other, are ended with signal 9 in the middle of their work."""
    async with Load(idempotent).on(house.nginx.url) as load:
        for gateway in house.gateways[:2]:
            await load.more(60)
            gateway.process.ensure_running()
            gateway.process.kill()
        await load.more(120)
    return load


@pytest.mark.chaos
async def test_a_gateway_killed_under_load_fails_no_request(house: House) -> None:
    load = await killed_under_load(house)

    assert load.failures == Counter()
    assert house.nginx.tried_again(), "no gateway had anything in hand when it was killed"


ALONE = TEXT.replace("proxy_next_upstream error timeout;", "proxy_next_upstream off;")


@pytest.mark.chaos
@pytest.mark.parametrize("house", [ALONE], ids=["without the next one"], indirect=True)
async def test_control_without_the_next_gateway_requests_fail(house: House) -> None:
    load = await killed_under_load(house)

    assert ALONE != TEXT
    assert load.failures


@pytest.mark.chaos
async def test_what_may_not_be_repeated_is_not_repeated(house: House) -> None:
    """A POST that a gateway had in hand when it died is told as a failure: once asked is asked at most once."""
    attempts: Counter[bytes] = Counter()
    serial = itertools.count()

    async def remember(scope: dict[str, Any], receive: Any, send: Any) -> None:
        attempts[house.service.fields[b"x-serial"]] += 1
        await house.service.echo(scope, receive, send)

    async def create(client: httpx.AsyncClient, _: int) -> httpx.Response:
        return await client.post(STUDENTS, content=b"{}", headers={"X-Serial": str(next(serial))})

    house.service.handler = remember
    async with Load(create).on(house.nginx.url) as load:
        await load.more(60)
        house.gateways[0].process.kill()
        await load.more(100)

    assert set(load.failures) <= {"POST 502"}
    assert load.failures.total() <= 12  # what was in hand, and nothing after that
    assert max(attempts.values()) == 1
