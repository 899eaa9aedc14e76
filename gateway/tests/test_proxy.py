"""What the gateway passes on, and what it keeps to itself."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.settings import Settings
from gateway.tests.upstreams import Service, answer, gateway, sent
from shared.testing.tokens import Tokens

SettingsOf = Callable[..., Settings]


async def test_a_declared_operation_reaches_its_service(client: httpx.AsyncClient, service: Service) -> None:
    answered = await client.post("/api/v1/students?limit=2", json={"name": "Ada"})

    assert answered.status_code == 200
    assert service.bodies == [b'{"name":"Ada"}']
    assert service.asked[0]["query_string"] == b"limit=2"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/api/v1/students/1/secrets",
        "/api/v2/students",
        "/api/v1/auth",
        "/api/v1/",
        "/internal/people",
        "/api/v1/students/",
    ],
)
async def test_what_no_service_declares_is_not_found(client: httpx.AsyncClient, service: Service, path: str) -> None:
    answered = await client.get(path)

    assert answered.status_code == 404
    assert answered.headers["content-type"] == "application/problem+json"
    assert len(answered.json()["trace_id"]) == 32
    assert service.asked == []


async def test_an_undeclared_method_is_not_found(client: httpx.AsyncClient, service: Service) -> None:
    answered = await client.delete("/api/v1/students")

    assert answered.status_code == 404
    assert service.asked == []


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "BREW"])
async def test_other_methods_reach_nobody(client: httpx.AsyncClient, service: Service, method: str) -> None:
    answered = await client.request(method, "/api/v1/students")

    assert answered.status_code in {400, 404, 405}
    assert service.asked == []


async def test_a_head_request_is_answered_without_a_body(client: httpx.AsyncClient) -> None:
    answered = await client.head("/api/v1/students")

    assert answered.status_code == 200
    assert answered.headers["content-length"] == "15"
    assert answered.content == b""


async def test_options_tell_what_may_be_asked(client: httpx.AsyncClient) -> None:
    answered = await client.options("/api/v1/students")

    assert answered.status_code == 204
    assert answered.headers["allow"] == "GET, POST, OPTIONS"
    assert "access-control-allow-origin" not in answered.headers


async def test_only_allowed_origins_may_read_answers(settings_of: SettingsOf, tokens: Tokens, service: Service) -> None:
    settings = settings_of(allowed_origins="https://app.example, https://other.example")
    preflight = {"Access-Control-Request-Method": "POST"}

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        friend = await client.options("/api/v1/students", headers={"Origin": "https://app.example", **preflight})
        stranger = await client.options("/api/v1/students", headers={"Origin": "https://evil.example", **preflight})
        read = await client.get("/api/v1/students", headers={"Origin": "https://app.example"})

    assert friend.headers["access-control-allow-origin"] == "https://app.example"
    assert friend.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
    assert "access-control-allow-origin" not in stranger.headers
    assert read.headers["access-control-allow-origin"] == "https://app.example"


SPOKEN_FOR_US = [
    "X-User-Id",
    "x_user_id",
    "X-School-Id",
    "X_SCHOOL_ID",
    "X-Internal-Service",
    "X-Forwarded-User",
    "X_Forwarded_For",
    "X-Real-Ip",
    "X_Real_IP",
    "Forwarded",
    "True-Client-IP",
    "X-Original-URL",
    "X.User.Id",
    "X-Request-Deadline",
]


@pytest.mark.parametrize("name", SPOKEN_FOR_US)
async def test_a_client_cannot_speak_in_our_name(client: httpx.AsyncClient, service: Service, name: str) -> None:
    await client.get("/api/v1/students", headers={name: "forged", "X-Harmless": "kept"})

    assert b"forged" not in b" ".join(service.fields.values())
    assert service.fields[b"x-harmless"] == b"kept"


async def test_a_client_cannot_have_our_headers_removed(client: httpx.AsyncClient, service: Service) -> None:
    named = "close, X-Client-Ip, X-Forwarded-For, Traceparent, X-Request-Deadline, X-Harmless"

    await client.get("/api/v1/students", headers={"Connection": named, "X-Harmless": "dropped", "TE": "trailers"})

    assert service.fields[b"x-client-ip"] == b"127.0.0.1"
    assert service.fields[b"x-forwarded-for"] == b"127.0.0.1"
    assert service.fields[b"x-forwarded-proto"] == b"http"
    assert service.fields[b"x-forwarded-host"] == client.base_url.netloc
    assert b"traceparent" in service.fields
    assert int(service.fields[b"x-request-deadline"]) > 0
    assert b"x-harmless" not in service.fields
    assert b"te" not in service.fields


async def test_a_spoofed_address_is_not_believed(client: httpx.AsyncClient, service: Service) -> None:
    await client.get("/api/v1/students", headers={"X-Forwarded-For": "203.0.113.7"})

    assert service.fields[b"x-client-ip"] == b"127.0.0.1"


async def test_of_our_own_proxies_the_outermost_knows_the_client(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    settings = settings_of(trusted_proxy_hops=2)
    chain = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7, 10.0.0.3"}

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/api/v1/students", headers=chain)

    assert service.fields[b"x-client-ip"] == b"203.0.113.7"


async def test_answers_lose_what_belongs_to_the_connection(client: httpx.AsyncClient, service: Service) -> None:
    async def talkative(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(
            send,
            b"{}",
            (b"server", b"secret/1.2"),
            (b"connection", b"x-hidden"),
            (b"x-hidden", b"yes"),
            (b"etag", b'"7"'),
            (b"x-content-type-options", b"nosniff"),
            (b"ratelimit-remaining", b"1000000"),
        )

    service.handler = talkative

    answered = await client.get("/api/v1/students")

    assert {"server", "x-hidden", "x-powered-by"} & answered.headers.keys() == set()
    assert answered.headers["etag"] == '"7"'
    assert answered.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answered.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answered.headers["cache-control"] == "no-store"
    assert answered.headers["ratelimit-remaining"] == "99"


async def test_who_has_the_answer_already_is_told_so_through_the_gateway(
    client: httpx.AsyncClient, service: Service
) -> None:
    async def conditional(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"etag", b'"7"'), (b"cache-control", b"private, no-cache"), (b"vary", b"Authorization")]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    service.handler = conditional

    answered = await client.get("/api/v1/students", headers={"If-None-Match": '"7"'})

    assert service.fields[b"if-none-match"] == b'"7"'
    assert (answered.status_code, answered.content) == (304, b"")
    assert answered.headers["etag"] == '"7"'
    assert answered.headers.get_list("cache-control") == ["private, no-cache"]
    assert answered.headers["vary"] == "Authorization"
    assert "content-length" not in answered.headers


async def test_the_first_event_of_a_stream_comes_at_once(client: httpx.AsyncClient, service: Service) -> None:
    has_first_arrived = asyncio.Event()

    async def stream(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await asyncio.wait_for(has_first_arrived.wait(), 30)
        await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": False})

    service.handler = stream

    async with client.stream("GET", "/api/v1/inbox/stream") as answered:
        parts = answered.aiter_raw()
        first = await anext(parts)
        has_first_arrived.set()
        rest = b"".join([part async for part in parts])

    assert first == b"data: 1\n\n"
    assert rest == b"data: 2\n\n"


async def test_an_event_stream_outlives_the_deadline(settings_of: SettingsOf, tokens: Tokens, service: Service) -> None:
    async def stream(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await asyncio.sleep(1.3)
        await send({"type": "http.response.body", "body": b"data: late\n\n", "more_body": False})

    service.handler = stream
    settings = settings_of(deadline_s=1.0, transfer_s=0.3)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        answered = await client.get("/api/v1/inbox/stream")

    assert answered.content == b"data: late\n\n"


async def test_a_slow_service_is_told_as_504(settings_of: SettingsOf, tokens: Tokens, service: Service) -> None:
    service.handler = service.wait_for_abort

    async with gateway(settings_of(deadline_s=0.2), tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        answered = await client.get("/api/v1/students")

    assert answered.status_code == 504
    assert answered.json()["type"] == "/problems/gateway-timeout"
    await asyncio.wait_for(service.aborted.wait(), 30)


async def test_a_service_is_told_when_its_client_has_gone(client: httpx.AsyncClient, service: Service) -> None:
    service.handler = service.wait_for_abort

    with pytest.raises(httpx.ReadTimeout):
        await client.get("/api/v1/students", timeout=0.3)

    await asyncio.wait_for(service.aborted.wait(), 30)


async def test_leaving_a_stream_ends_it_upstream_too(client: httpx.AsyncClient, service: Service) -> None:
    async def stream(_scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await service.wait_for_abort({}, receive, send)

    service.handler = stream

    async with client.stream("GET", "/api/v1/inbox/stream") as answered:
        await anext(answered.aiter_raw())

    await asyncio.wait_for(service.aborted.wait(), 30)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "in chunks"])
async def test_a_body_over_a_mebibyte_is_refused(
    client: httpx.AsyncClient, service: Service, *, is_chunked: bool
) -> None:
    async def chunks() -> Any:
        for _ in range(17):
            yield b"x" * 65536

    body = chunks() if is_chunked else b"x" * (1024 * 1024 + 1)

    answered = await client.post("/api/v1/students", content=body)

    assert answered.status_code == 413
    assert answered.json()["type"] == "/problems/payload-too-large"
    assert service.bodies == []


@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "in chunks"])
async def test_an_import_may_be_large_but_not_larger(
    settings_of: SettingsOf, tokens: Tokens, service: Service, *, is_chunked: bool
) -> None:
    async def chunks(count: int) -> Any:
        for _ in range(count):
            yield b"x" * 65536

    def body(count: int) -> Any:
        return chunks(count) if is_chunked else b"x" * 65536 * count

    settings = settings_of(import_body_bytes=4 * 1024 * 1024)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        fits = await client.post("/api/v1/imports", content=body(64))
        too_large = await client.post("/api/v1/imports", content=body(65))

    assert fits.status_code == 200
    assert len(fits.content) == 4 * 1024 * 1024
    assert too_large.status_code == 413
    assert len(service.bodies) == 1


async def test_a_large_answer_arrives_whole(client: httpx.AsyncClient, service: Service) -> None:
    expected = json.dumps(["x" * 100] * 50_000).encode()

    async def large(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for start in range(0, len(expected), 100_000):
            part = expected[start : start + 100_000]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    service.handler = large

    answered = await client.get("/api/v1/students")

    assert answered.content == expected


async def test_a_truncated_answer_is_not_taken_for_a_whole_one(client: httpx.AsyncClient, service: Service) -> None:
    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    service.handler = broken

    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/api/v1/students")


async def test_an_answer_that_ends_with_its_head_is_told_as_502(client: httpx.AsyncClient, service: Service) -> None:
    async def broken(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})

    service.handler = broken

    assert (await client.get("/api/v1/students")).status_code == 502


async def test_the_head_of_an_answer_waits_for_its_body(url: str, service: Service) -> None:
    """Killed in between, the gateway would have told half of it."""
    may_go_on = asyncio.Event()

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await may_go_on.wait()
        await send({"type": "http.response.body", "body": b"body", "more_body": False})

    service.handler = slow
    request = b"GET /api/v1/students HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    assert await sent(url, request, timeout_s=0.5) == b""
    asking = asyncio.create_task(sent(url, request))
    await asyncio.sleep(0.2)
    may_go_on.set()
    assert (await asking).endswith(b"\r\n\r\nbody")


async def test_a_service_that_is_down_is_told_as_503(settings_of: SettingsOf, tokens: Tokens) -> None:
    settings = settings_of(academic_url="http://127.0.0.1:1")

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        down = await client.get("/api/v1/students")
        up = await client.post("/api/v1/auth/tokens", json={})

    assert down.status_code == 503
    assert down.headers["content-type"] == "application/problem+json"
    assert int(down.headers["retry-after"]) >= 1
    assert up.status_code == 200


async def test_the_signing_keys_can_be_read_by_anybody(client: httpx.AsyncClient, service: Service) -> None:
    answered = await client.get("/.well-known/jwks.json")

    assert answered.status_code == 200
    assert "ratelimit" not in answered.headers
    assert service.asked[0]["path"] == "/.well-known/jwks.json"


KEYED = {"parameters": [{"name": "Idempotency-Key", "in": "header"}], "responses": {}}


class HangsUp:
    """Takes each POST on a kept connection, and hangs up instead of answering it; on a new one it answers."""

    def __init__(self, *, declares: dict[str, Any]) -> None:
        self.posts = 0
        self._document = json.dumps({"paths": {"/api/v1/students": {"get": {"responses": {}}, "post": declares}}})

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(found[1]) if found else 0)
                self.posts += head.startswith(b"POST")
                if head.startswith(b"POST") and answered:
                    break
                answered += 1
                body = self._document.encode() if head.startswith(b"GET /openapi.json") else b"{}"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()


@pytest.mark.parametrize(
    ("declares", "headers", "status", "posts"),
    [
        (KEYED, {"Idempotency-Key": "key"}, 200, 2),
        (KEYED, {}, 502, 1),
        ({"responses": {}}, {"Idempotency-Key": "key"}, 502, 1),
    ],
    ids=["with a key", "without a key", "where no key is known"],
)
async def test_only_a_post_with_a_key_is_sent_again(
    settings_of: SettingsOf,
    tokens: Tokens,
    declares: dict[str, Any],
    headers: dict[str, str],
    status: int,
    posts: int,
) -> None:
    upstream = HangsUp(declares=declares)
    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        gateway(settings_of(academic_url=f"http://127.0.0.1:{port}"), tokens.verifier) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        assert (await client.get("/api/v1/students")).status_code == 200
        answered = await client.post("/api/v1/students", json={}, headers=headers)

    assert (answered.status_code, upstream.posts) == (status, posts)


async def test_a_key_and_what_became_of_it_are_passed_on(client: httpx.AsyncClient, service: Service) -> None:
    async def replay(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await answer(send, b"{}", (b"idempotency-replayed", b"true"), status=201)

    service.handler = replay

    answered = await client.post("/api/v1/students", json={}, headers={"Idempotency-Key": "a-key"})

    assert service.fields[b"idempotency-key"] == b"a-key"
    assert answered.headers["idempotency-replayed"] == "true"
