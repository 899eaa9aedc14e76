"""What nginx puts aside for clients who send slowly: never so much that others find no room for their bodies."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
import yaml

from gateway.tests.upstreams import answer, served
from shared.problems import TooManyRequests
from tests.deploy.edge import CONFIGURATION, Nginx, started
from tests.deploy.manifests import ROOT, size_mib
from tools.embedded.processes import free_port

TEXT = CONFIGURATION.read_text()
WITHOUT_LIMITS = re.sub(r" +limit_conn (bodies|rosters)\S* [0-9]+;\n", "", TEXT)
MIB = 1024 * 1024
BUFFER = 64 * 1024
"""More than nginx keeps of a body before it writes."""
IMPORTS, STUDENTS = "/api/v1/imports", "/api/v1/students"
OTHER = "127.0.0.200"


def room() -> int:
    (tmpfs,) = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["nginx"]["tmpfs"]
    return int((size_mib(tmpfs) or 0) * MIB)


def put_aside(nginx: Nginx) -> list[int]:
    """How much of each body stands in a file: the files are open, and in no folder any more."""
    found: list[int] = []
    for worker in psutil.Process(nginx.process.pid).children():
        for each in Path(f"/proc/{worker.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if "/client_body/" in str(each.readlink()):
                    found.append(each.stat().st_size)
    return found


class Sender:
    """Sends all of a body but its last byte."""

    def __init__(self, nginx: Nginx, address: str, path: str, size: int) -> None:
        self._nginx = nginx
        self._address = address
        self._path = path
        self._size = size
        self.answered = b""
        self._writer: asyncio.StreamWriter | None = None

    async def send(self) -> None:
        reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._nginx.port, local_addr=(self._address, 0)
        )
        head = f"POST {self._path} HTTP/1.1\r\nHost: a\r\nContent-Length: {self._size}\r\n\r\n"
        self._writer.write(head.encode())
        self._reading = asyncio.create_task(self._read(reader))
        part = b"x" * 65536
        with suppress(OSError):
            for begin in range(0, self._size - 1, len(part)):
                self._writer.write(part[: self._size - 1 - begin])
                await self._writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            self.answered = await reader.read(4096)

    def leave(self) -> None:
        self._reading.cancel()
        if self._writer:
            self._writer.close()


@asynccontextmanager
async def slow_senders(nginx: Nginx, path: str, size: int, addresses: list[str]) -> AsyncGenerator[list[Sender]]:
    """Each was refused, or has all but the end of its body put aside."""
    senders = [Sender(nginx, address, path, size) for address in addresses]
    already = len(whole(nginx, size))
    try:
        async with asyncio.timeout(120):
            await asyncio.gather(*(sender.send() for sender in senders))
            while len(whole(nginx, size)) - already + sum(1 for each in senders if each.answered) < len(senders):
                await asyncio.sleep(0.05)
        yield senders
    finally:
        for sender in senders:
            sender.leave()


def whole(nginx: Nginx, size: int) -> list[int]:
    return [each for each in put_aside(nginx) if size - BUFFER <= each <= size]


@pytest.fixture
async def nginx(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Nginx]:
    async def take(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await answer(send, b"{}")

    async with served(take) as url:
        port = int(url.rpartition(":")[2])
        nginx = Nginx(tmp_path, [port, free_port(), free_port()], getattr(request, "param", TEXT))
        async with started([nginx]):
            yield nginx


async def test_a_body_that_is_not_counted_is_not_put_aside(nginx: Nginx) -> None:
    sender = Sender(nginx, "127.0.0.1", STUDENTS, 9_999)
    await sender.send()
    async with slow_senders(nginx, STUDENTS, MIB, ["127.0.0.1"]):
        assert len(put_aside(nginx)) == 1
    sender.leave()


async def statuses(nginx: Nginx, address: str) -> list[int]:
    """Of a body that is put aside, of a roster, of a small body, and of a question."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=nginx.url, transport=transport, timeout=60) as client:
        return [
            (await client.post(STUDENTS, content=b"x" * 40_000)).status_code,
            (await client.post(IMPORTS, content=b"x" * MIB)).status_code,
            (await client.post(STUDENTS, content=b"x" * 2_000)).status_code,
            (await client.get(IMPORTS)).status_code,
        ]


ROSTER = 26 * MIB
TEN = ["127.0.0.1"] * 10
EVERYWHERE = [f"127.0.0.{number}" for number in range(1, 6) for _ in range(3)]


async def test_slow_rosters_of_one_address_harm_nobody_else(nginx: Nginx) -> None:
    async with slow_senders(nginx, IMPORTS, ROSTER, TEN) as senders:
        assert sum(put_aside(nginx)) < 3 * ROSTER
        assert await statuses(nginx, OTHER) == [200, 200, 200, 200]

    refused = [sender.answered for sender in senders if sender.answered]
    assert len(refused) == 8


async def test_slow_rosters_from_everywhere_leave_room_for_other_bodies(nginx: Nginx) -> None:
    async with slow_senders(nginx, IMPORTS, ROSTER, EVERYWHERE):
        assert len(whole(nginx, ROSTER)) == 6
        assert sum(put_aside(nginx)) < room() / 2
        assert await statuses(nginx, OTHER) == [200, 429, 200, 200]


async def test_slow_bodies_of_one_address_harm_nobody_else(nginx: Nginx) -> None:
    async with slow_senders(nginx, STUDENTS, MIB, ["127.0.0.1"] * 40):
        assert len(whole(nginx, MIB)) == 32
        assert await statuses(nginx, OTHER) == [200, 200, 200, 200]
        assert await statuses(nginx, "127.0.0.1") == [429, 200, 200, 200]


@pytest.mark.parametrize("nginx", [WITHOUT_LIMITS], ids=["without limits"], indirect=True)
async def test_control_without_limits_slow_rosters_take_all_the_room(nginx: Nginx) -> None:
    async with slow_senders(nginx, IMPORTS, ROSTER, EVERYWHERE) as senders:
        assert sum(put_aside(nginx)) > room()

    assert WITHOUT_LIMITS != TEXT
    assert not any(sender.answered for sender in senders)


async def test_who_is_refused_is_told_a_problem_and_when_to_come_again(nginx: Nginx) -> None:
    async with (
        slow_senders(nginx, IMPORTS, ROSTER, ["127.0.0.1"] * 2),
        httpx.AsyncClient(base_url=nginx.url, trust_env=False, timeout=60) as client,
    ):
        refused = await client.post(IMPORTS, content=b"x" * ROSTER)
        chunked = await client.post(IMPORTS, content=parts())

    for response in (refused, chunked):
        assert response.status_code == TooManyRequests.status
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) > 0
        problem = msgspec.json.decode(response.content)
        assert problem["type"] == f"/problems/{TooManyRequests.slug}"
        assert (problem["title"], problem["status"]) == (TooManyRequests.title, TooManyRequests.status)
        assert re.fullmatch(r"[0-9a-f]{32}", problem["trace_id"])


async def parts() -> AsyncGenerator[bytes]:
    for _ in range(20):
        yield b"x" * 1000
