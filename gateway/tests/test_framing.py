"""Requests that two readers could take for different ones, sent byte by byte."""

import json

import pytest

from gateway.settings import Settings
from gateway.tests.conftest import SettingsOf
from gateway.tests.upstreams import Service, gateway, sent
from shared.testing.tokens import Tokens

GET = b"GET /api/v1/students HTTP/1.1\r\nHost: g\r\n"
POST = b"POST /api/v1/students HTTP/1.1\r\nHost: g\r\n"
HIDDEN = b"GET /api/v1/students?smuggled=1 HTTP/1.1\r\nHost: g\r\n\r\n"
CHUNKED_END = b"0\r\n\r\n"


AMBIGUOUS = {
    "length and chunks": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED_END + HIDDEN,
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n" + CHUNKED_END + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 62\r\n\r\n" + HIDDEN,
    "the same length twice": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 0, 62\r\n\r\n" + HIDDEN,
    "a signed length": POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a hexadecimal length": POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED_END + HIDDEN,
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED_END + HIDDEN,
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED_END + HIDDEN,
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED_END + HIDDEN,
    "a folded header": POST + b"X-A: b\r\n Transfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "NUL in a value": GET + b"X-A: a\x00b\r\n\r\n" + HIDDEN,
    "a bare CR in a value": GET + b"X-A: a\rTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "a bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n" + CHUNKED_END + HIDDEN,
    "a signed chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n+2\r\nab\r\n" + CHUNKED_END + HIDDEN,
    "chunks in HTTP/1.0": b"POST /api/v1/students HTTP/1.0\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKED_END
    + HIDDEN,
    "an upgrade with a body": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 62\r\n\r\n" + HIDDEN,
    "two hosts": GET + b"Host: other\r\n\r\n" + HIDDEN,
    "no host": b"GET /api/v1/students HTTP/1.1\r\n\r\n" + HIDDEN,
    "a host with a path": b"GET /api/v1/students HTTP/1.1\r\nHost: g/evil\r\n\r\n" + HIDDEN,
    "a host with a user": b"GET /api/v1/students HTTP/1.1\r\nHost: a@g\r\n\r\n" + HIDDEN,
    "two tokens": GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n" + HIDDEN,
    "HTTP/0.9": b"GET /api/v1/students\r\n\r\n" + HIDDEN,
    "HTTP/2.0": b"GET /api/v1/students HTTP/2.0\r\nHost: g\r\n\r\n" + HIDDEN,
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a lower-case method": b"get /api/v1/students HTTP/1.1\r\nHost: g\r\n\r\n" + HIDDEN,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_an_ambiguous_request_is_refused_and_the_connection_closed(url: str, service: Service, name: str) -> None:
    received = await sent(url, AMBIGUOUS[name])

    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"application/problem+json" in received
    assert b"connection: close" in received
    assert service.asked == []


async def test_a_pipelined_request_gets_an_answer_of_its_own(url: str, service: Service) -> None:
    """The control: the very bytes that must not be smuggled are a request where they stand in the open."""
    received = await sent(url, GET + b"\r\n" + HIDDEN.replace(b"Host: g\r\n", b"Host: g\r\nConnection: close\r\n"))

    assert received.count(b"HTTP/1.1 200") == 2
    assert [each["query_string"] for each in service.asked] == [b"", b"smuggled=1"]


async def test_a_trailer_is_no_header(url: str, service: Service) -> None:
    body = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\nX-Late: yes\r\n\r\n"

    received = await sent(url, POST + body)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"x-late" not in service.fields
    assert service.bodies == [b"{}"]


async def test_chunks_are_framed_anew(url: str, service: Service) -> None:
    body = b'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1;evil="\n\r\n{\r\n01\r\n}\r\n00\r\n\r\n'
    plain = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n{\r\n01\r\n}\r\n00\r\n\r\n"

    strange = await sent(url, POST + body)
    fine = await sent(url, POST + plain)

    assert strange.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 "))
    assert fine.startswith(b"HTTP/1.1 200 ")
    assert service.fields[b"content-length"] == b"2"
    assert b"transfer-encoding" not in service.fields


PATHS = [
    b"/api/v1/students/../auth/tokens",
    b"/api/v1/students/..",
    b"/api/v1/./students",
    b"/api/v1//students",
    b"//api/v1/students",
    b"/api/v1/students//",
    b"/api/v1/students/%2e%2e/x",
    b"/api/v1/students/a%2Fb",
    b"/api/v1/students/a%5Cb",
    b"/api/v1/students/a\\b",
    b"/api/v1/students/%00",
    b"/api/v1/students/%0d%0a",
    b"/api/v1/students/%zz",
    b"/api/v1/students/%",
    b"/docs/../metrics",
    b"/docs/%2e%2e/settings.py",
    b"/api/v1/students?a=\xff",
    b"/api/v1/students/\xc3\xa9",
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
async def test_a_path_is_read_in_one_way_only(url: str, service: Service, path: bytes) -> None:
    received = await sent(url, b"GET " + path + b" HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 400 ")
    assert service.asked == []


async def test_a_target_names_no_other_host(url: str, service: Service) -> None:
    """The absolute form is allowed by the standard; only its path counts."""
    line = b"GET http://evil.example/api/v1/students HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n"

    received = await sent(url, line)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert service.asked[0]["path"] == "/api/v1/students"
    assert b"evil" not in service.fields[b"host"] + service.fields[b"x-forwarded-host"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /api/v1/students?q=" + b"x" * 9000 + b" HTTP/1.1\r\nHost: g\r\n\r\n", b"414"),
        (GET + b"X-Long: " + b"x" * 33_000 + b"\r\n\r\n", b"431"),
        (GET + b"X-A: b\r\n" * 101 + b"\r\n", b"431"),
        (GET + b"X-Endless: " + b"x" * 100_000, b"431"),
        (b"GET /" + b"x" * 100_000, b"431"),
    ],
    ids=["long address", "long header", "many headers", "endless header", "endless address"],
)
async def test_a_head_has_its_bounds(url: str, service: Service, head: bytes, status: bytes) -> None:
    received = await sent(url, head)

    assert received.startswith(b"HTTP/1.1 " + status)
    assert json.loads(received.partition(b"\r\n\r\n")[2])["trace_id"]
    assert service.asked == []


@pytest.mark.parametrize(
    "parts", [[b""], [b"GET /api"], [GET, b"X-Slow: 1"]], ids=["silence", "half a line", "half a head"]
)
async def test_a_head_must_come_in_time(settings_of: SettingsOf, tokens: Tokens, parts: list[bytes]) -> None:
    settings: Settings = settings_of(head_s=0.3)

    async with gateway(settings, tokens.verifier) as url:
        received = await sent(url, *parts)

    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in received


async def test_a_body_must_come_in_time(settings_of: SettingsOf, tokens: Tokens, service: Service) -> None:
    settings: Settings = settings_of(deadline_s=0.3)

    async with gateway(settings, tokens.verifier) as url:
        received = await sent(url, POST + b"Content-Length: 10\r\n\r\n", b"12345")

    assert received.startswith(b"HTTP/1.1 408 ")
    assert service.asked == []
