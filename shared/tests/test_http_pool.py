"""What the pool promises about upstreams that fail, lie or are slow."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from shared.http_pool import (
    BadAnswer,
    Body,
    ConnectFailed,
    ConnectionBroken,
    Pool,
    PoolFull,
    PoolLimits,
    Request,
    TimedOut,
    UpstreamError,
)
from shared.http_transport import PooledTransport

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Play = Callable[[Reader, Writer], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = Request(method=b"GET", target=b"/", headers=[(b"host", b"upstream")], is_idempotent=True)


class Upstream:
    """Plays one part for each connection, in turn; the last one again and again."""

    def __init__(self, *plays: Play) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self._plays = plays
        self._open: set[asyncio.Task[None]] = set()

    async def accept(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        play = self._plays[min(self.connections, len(self._plays) - 1)]
        self.connections += 1
        try:
            await play(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._open.discard(task)

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[str]:
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


async def head_of(reader: Reader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(*answers: bytes) -> Play:
    """Each request gets the next answer; then the connection is closed."""

    async def play(reader: Reader, writer: Writer) -> None:
        for answer in answers:
            await head_of(reader)
            writer.write(answer)
            await writer.drain()

    return play


async def for_ever(reader: Reader, writer: Writer) -> None:
    while True:
        await head_of(reader)
        writer.write(OK)


async def silent(reader: Reader, writer: Writer) -> None:
    await reader.read()


async def fetched(pool: Pool, request: Request = GET, timeout_s: float = 30.0) -> tuple[int, bytes]:
    answer = await pool.request(request, timeout_s=timeout_s)
    try:
        return answer.status, await answer.read_all(limit_bytes=1_000_000, timeout_s=timeout_s)
    finally:
        answer.close()


@asynccontextmanager
async def pool_on(upstream: Upstream, **limits: float) -> AsyncGenerator[Pool]:
    async with upstream.served() as url:
        pool = Pool(url, PoolLimits(**limits))  # pyright: ignore[reportArgumentType]
        yield pool
        pool.close()


async def test_one_connection_serves_one_request_after_the_other() -> None:
    upstream = Upstream(for_ever)

    async with pool_on(upstream) as pool:
        answers = [await fetched(pool) for _ in range(5)]

    assert answers == [(200, b"ok")] * 5
    assert upstream.connections == 1


HOSTILE = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\nok",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a head too large": b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 40_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"Content-Length: 2\r\n\r\nok",
    "a head without end": b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 200_000,
    "interim answers without end": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 5000,
    "NUL in a header": b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "a bare CR in a header": b"HTTP/1.1 200 OK\r\nX-A: a\rb: c\r\nContent-Length: 2\r\n\r\nok",
    "a folded header": b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_an_answer_that_can_be_read_in_two_ways_is_refused(name: str) -> None:
    upstream = Upstream(answering(HOSTILE[name]), for_ever)

    async with pool_on(upstream) as pool:
        with pytest.raises(BadAnswer):
            await fetched(pool)
        after = await fetched(pool)

    assert after == (200, b"ok")
    assert upstream.connections == 2


TRUNCATED = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
    "half the chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
}


@pytest.mark.parametrize("name", TRUNCATED)
async def test_half_an_answer_is_none(name: str) -> None:
    async with pool_on(Upstream(answering(TRUNCATED[name]))) as pool:
        with pytest.raises(ConnectionBroken):
            await fetched(pool)


@pytest.mark.parametrize("rest", [OK, b"garbage", b"\r\n"], ids=["a second answer", "garbage", "a line break"])
async def test_an_answer_that_nobody_asked_for_is_given_to_nobody(rest: bytes) -> None:
    stolen = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
    upstream = Upstream(answering(OK + stolen if rest == OK else OK + rest), for_ever)

    async with pool_on(upstream) as pool:
        answers = [await fetched(pool) for _ in range(3)]

    assert answers == [(200, b"ok")] * 3
    assert upstream.connections == 2


async def test_an_answer_that_comes_while_idle_is_given_to_nobody() -> None:
    async def eager(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        writer.write(OK)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        await reader.read()

    async with pool_on(Upstream(eager, for_ever)) as pool:
        await fetched(pool)
        await asyncio.sleep(0.5)
        after = await fetched(pool)

    assert after == (200, b"ok")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        (b"DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
async def test_some_answers_never_have_a_body(method: bytes, answer: bytes) -> None:
    upstream = Upstream(answering(answer, OK))
    request = Request(method=method, target=b"/", headers=[(b"host", b"upstream")])

    async with pool_on(upstream) as pool:
        _, body = await fetched(pool, request)
        after = await fetched(pool)

    assert body == b""
    assert after == (200, b"ok")
    assert upstream.connections == 1


async def test_interim_answers_are_passed_over() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"

    async with pool_on(Upstream(answering(hint + OK, OK))) as pool:
        answer = await pool.request(GET, timeout_s=30)
        body = await answer.read()
        answer.close()

    assert (answer.status, body) == (200, b"ok")
    assert answer.headers == [(b"content-length", b"2")]


async def test_a_trailer_is_no_header() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Late: yes\r\n\r\n"

    async with pool_on(Upstream(answering(chunked))) as pool:
        answer = await pool.request(GET, timeout_s=30)
        body = await answer.read_all(limit_bytes=10, timeout_s=30)
        answer.close()

    assert body == b"ok"
    assert answer.headers == [(b"transfer-encoding", b"chunked")]


def dies_when_used_again(*, first_word: bytes = b"") -> Play:
    async def play(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        writer.write(OK)
        await head_of(reader)
        writer.write(first_word)
        await writer.drain()

    return play


async def test_a_kept_connection_that_died_costs_an_idempotent_request_nothing() -> None:
    upstream = Upstream(dies_when_used_again(), for_ever)

    async with pool_on(upstream) as pool:
        await fetched(pool)
        after = await fetched(pool)

    assert after == (200, b"ok")
    assert upstream.connections == 2


@pytest.mark.parametrize(
    ("request_", "first_word"),
    [
        (Request(method=b"POST", target=b"/", headers=[], body=b"{}"), b""),
        (GET, b"HTTP/1.1 200 OK\r\n"),
    ],
    ids=["not idempotent", "something was received"],
)
async def test_nothing_else_is_sent_twice(request_: Request, first_word: bytes) -> None:
    upstream = Upstream(dies_when_used_again(first_word=first_word), for_ever)

    async with pool_on(upstream) as pool:
        await fetched(pool)
        with pytest.raises(ConnectionBroken):
            await fetched(pool, request_)

    assert upstream.connections == 1


async def test_a_fresh_connection_that_dies_is_not_tried_again() -> None:
    upstream = Upstream(answering(b""), for_ever)

    async with pool_on(upstream) as pool:
        with pytest.raises(ConnectionBroken):
            await fetched(pool)

    assert upstream.connections == 1


async def test_retries_never_double_the_load() -> None:
    """After the saved ones, one in ten: an upstream that drops every kept connection is not asked twice for ever."""
    upstream = Upstream(dies_when_used_again())
    failed = 0

    async with pool_on(upstream) as pool:
        for _ in range(200):
            try:
                await fetched(pool)
            except ConnectionBroken:
                failed += 1

    assert failed > 0
    assert upstream.connections + failed <= 200 + 10 + 20


async def test_a_connection_closed_while_idle_is_not_used() -> None:
    upstream = Upstream(answering(OK), for_ever)
    post = Request(method=b"POST", target=b"/", headers=[])

    async with pool_on(upstream) as pool:
        await fetched(pool)
        await asyncio.sleep(0.05)
        after = await fetched(pool, post)

    assert after == (200, b"ok")


async def test_no_more_connections_than_allowed_and_no_longer_waiting_than_allowed() -> None:
    upstream = Upstream(silent)

    async with pool_on(upstream, connections=2, waiting=3, wait_s=0.1) as pool:
        asked = [asyncio.create_task(pool.request(GET, timeout_s=2)) for _ in range(8)]
        failures = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(failure) for failure in failures].count(TimedOut) == 2
    assert [type(failure) for failure in failures].count(PoolFull) == 6
    assert upstream.connections == 2


async def test_who_waits_gets_the_connection_that_becomes_free() -> None:
    upstream = Upstream(for_ever)

    async with pool_on(upstream, connections=2, waiting=50) as pool:
        answers = await asyncio.gather(*(fetched(pool) for _ in range(50)))

    assert answers == [(200, b"ok")] * 50
    assert upstream.connections == 2


async def test_places_survive_those_who_give_up() -> None:
    upstream = Upstream(silent, silent, for_ever)

    async with pool_on(upstream, connections=2, waiting=50, wait_s=5) as pool:
        asked = [asyncio.create_task(pool.request(GET, timeout_s=30)) for _ in range(10)]
        await asyncio.sleep(0.05)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        answers = await asyncio.gather(*(fetched(pool) for _ in range(4)))

    assert answers == [(200, b"ok")] * 4


async def test_a_request_that_is_given_up_is_hung_up_on() -> None:
    has_hung_up = asyncio.Event()

    async def listen(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        try:
            await reader.read()
        finally:
            has_hung_up.set()

    async with pool_on(Upstream(listen)) as pool:
        asked = asyncio.create_task(pool.request(GET, timeout_s=30))
        await asyncio.sleep(0.05)
        asked.cancel()
        await asyncio.wait_for(has_hung_up.wait(), 30)


async def test_a_silent_upstream_is_left_in_time() -> None:
    async with pool_on(Upstream(silent)) as pool:
        with pytest.raises(TimedOut):
            await fetched(pool, timeout_s=0.1)


async def test_silence_in_the_middle_of_a_body_is_left_in_time() -> None:
    async def half(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
        await reader.read()

    async with pool_on(Upstream(half)) as pool:
        answer = await pool.request(GET, timeout_s=30)
        first = await answer.read(30)
        with pytest.raises(TimedOut):
            await answer.read(0.1)
        answer.close()

    assert first == b"ok"


async def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(ConnectFailed):
        await fetched(Pool("http://127.0.0.1:1"))


async def test_an_upstream_that_sends_faster_than_we_read_is_held_back() -> None:
    sent = 0

    async def flood(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            sent += 65536

    async with pool_on(Upstream(flood)) as pool:
        answer = await pool.request(GET, timeout_s=30)
        await asyncio.sleep(0.3)
        stuck = sent
        await asyncio.sleep(0.2)
        still = sent
        part = await answer.read(30)
        answer.close()

    assert still == stuck < 32 * 1024 * 1024
    assert len(part) < 2 * 1024 * 1024


async def body_of(*parts: bytes) -> AsyncGenerator[bytes]:
    for part in parts:
        yield part


async def echo(reader: Reader, writer: Writer) -> None:
    head = await head_of(reader)
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        body += await reader.read(65536)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head + body) + head + body)


async def test_a_body_without_a_length_is_sent_in_chunks() -> None:
    request = Request(method=b"POST", target=b"/", headers=[], body=Body(body_of(b"abc", b"", b"defg")))

    async with pool_on(Upstream(echo)) as pool:
        _, body = await fetched(pool, request)

    assert body.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")


@pytest.mark.parametrize("parts", [[b"abc"], [b"abc", b"def"]], ids=["too short", "too long"])
async def test_a_body_is_as_long_as_announced(parts: list[bytes]) -> None:
    request = Request(method=b"POST", target=b"/", headers=[], body=Body(body_of(*parts), 5))

    async with pool_on(Upstream(silent)) as pool:
        with pytest.raises(ValueError, match="than announced"):
            await fetched(pool, request)


async def test_an_answer_may_come_before_the_end_of_the_question() -> None:
    async def endless() -> AsyncGenerator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)

    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"

    async def refuse(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        writer.write(early)
        await reader.read()

    upstream = Upstream(refuse, for_ever)

    async with pool_on(upstream) as pool:
        refused = await fetched(pool, Request(method=b"POST", target=b"/", headers=[], body=Body(endless())))
        after = await fetched(pool)

    assert refused == (413, b"no")
    assert after == (200, b"ok")
    assert upstream.connections == 2


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"a\r\nx-user-id: 1"),
        (b"x-a\r\nx-b", b"a"),
        (b"x a", b"a"),
        (b"x-a", b"\x00"),
        (b"content-length", b"0"),
        (b"transfer-encoding", b"chunked"),
        (b"", b"a"),
    ],
    ids=repr,
)
async def test_a_header_is_never_two(field: tuple[bytes, bytes]) -> None:
    async with pool_on(Upstream(for_ever)) as pool:
        with pytest.raises(ValueError, match="header"):
            await fetched(pool, Request(method=b"GET", target=b"/", headers=[field]))


async def test_httpx_speaks_through_the_pool() -> None:
    upstream = Upstream(for_ever)

    async with upstream.served() as url, httpx.AsyncClient(transport=PooledTransport(), base_url=url) as client:
        answers = [await client.get("/a?b=c", headers={"X-A": "b"}) for _ in range(3)]

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "ok")] * 3
    assert upstream.connections == 1


async def test_httpx_streams_both_ways_through_the_pool() -> None:
    async with Upstream(echo).served() as url, httpx.AsyncClient(transport=PooledTransport()) as client:
        answered = await client.post(url, content=body_of(b"abc", b"def"))

    assert answered.content.endswith(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (silent, httpx.ReadTimeout),
        (answering(b""), httpx.RemoteProtocolError),
        (answering(HOSTILE["two lengths"]), httpx.RemoteProtocolError),
        (answering(TRUNCATED["half a body"]), httpx.RemoteProtocolError),
    ],
    ids=["silence", "nothing", "two lengths", "half a body"],
)
async def test_httpx_hears_of_failures_in_its_own_words(play: Play, error: type[httpx.TransportError]) -> None:
    async with (
        Upstream(play).served() as url,
        httpx.AsyncClient(transport=PooledTransport(), timeout=0.2 if play is silent else 30) as client,
    ):
        with pytest.raises(error):
            await client.get(url)


async def test_every_failure_has_a_word_in_httpx() -> None:
    from shared.http_transport import AS_HTTPX  # noqa: PLC0415

    assert set(AS_HTTPX) == set(UpstreamError.__subclasses__())
