"""The gateway as a process: health, metrics, circuits, and an orderly end."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from gateway.breaker import Breaker
from gateway.tests.conftest import SettingsOf
from gateway.tests.upstreams import Service, gateway, sent, served
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tools.embedded.processes import free_port
from tools.topology import SERVICE_NAMES


async def test_the_gateway_tells_how_it_is(client: httpx.AsyncClient) -> None:
    live, ready, links = [await client.get(path) for path in ("/health/live", "/health/ready", "/")]

    assert live.json() == {"status": "live"}
    assert (ready.status_code, ready.json()["redis"]) == (200, True)
    assert links.json()["docs"] == "/docs"


async def test_upstreams_that_are_down_are_told_but_not_required(settings_of: SettingsOf, tokens: Tokens) -> None:
    settings = settings_of(academic_url="http://127.0.0.1:1", breaker_failures=1)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/api/v1/students")
        ready = await client.get("/health/ready")

    assert ready.status_code == 200
    assert ready.json() == {"redis": True, **dict.fromkeys(SERVICE_NAMES, True), "academic": False}


async def test_metrics_name_operations_and_nobody(client: httpx.AsyncClient) -> None:
    await client.get("/api/v1/students/0199-somebody")

    metrics = (await client.get("/metrics")).text

    assert 'operation="GET /api/v1/students/{student_id}"' in metrics
    assert "somebody" not in metrics


async def test_what_a_service_keeps_for_itself_is_answered_by_the_gateway(
    client: httpx.AsyncClient, service: Service
) -> None:
    answers = [await client.get(path) for path in ("/health/ready", "/metrics", "/openapi.json", "/internal/people")]

    assert [each.status_code for each in answers] == [200, 200, 200, 404]
    assert service.asked == []


async def test_a_circuit_opens_and_closes_again(
    settings_of: SettingsOf, tokens: Tokens, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("gateway.upstream.Breaker", partial(Breaker, clock=lambda: now))
    service.handler = service.wait_for_abort
    settings = settings_of(deadline_s=1.0, breaker_failures=3, breaker_open_s=2.0)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        failing = await asyncio.gather(*(client.get("/api/v1/students") for _ in range(3)))
        refused = await client.get("/api/v1/students")
        others = await client.post("/api/v1/auth/tokens")
        service.handler = service.echo
        now += 1.9
        early = await client.get("/api/v1/students")
        now += 0.2
        recovered = await client.get("/api/v1/students")

    assert [each.status_code for each in failing] == [504] * 3
    assert (refused.status_code, early.status_code) == (503, 503)
    assert refused.json()["type"] == "/problems/unavailable"
    assert int(refused.headers["retry-after"]) >= 1
    assert others.status_code == 504
    assert recovered.status_code == 200


async def test_slow_clients_open_no_circuit(settings_of: SettingsOf, tokens: Tokens) -> None:
    settings = settings_of(import_deadline_s=0.3, breaker_failures=1)
    head = b"POST /api/v1/imports HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        slow = await sent(url, head + b"1\r\nx\r\n")
        other = await client.get("/api/v1/students")

    assert slow.startswith(b"HTTP/1.1 408 ")
    assert other.status_code == 200


async def test_who_sends_the_end_at_the_last_moment_opens_no_circuit(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    service.handler = service.wait_for_abort
    settings = settings_of(deadline_s=4.0, breaker_failures=1)
    head = b"POST /api/v1/students HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        late = await sent(url, head + b"12345", b"67890", pause_s=3.0, timeout_s=10)
        service.handler = service.echo
        other = await client.get("/api/v1/students")

    assert late.startswith(b"HTTP/1.1 504 ")
    assert other.status_code == 200


async def test_control_a_service_that_had_its_time_opens_one(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    service.handler = service.wait_for_abort
    settings = settings_of(deadline_s=0.3, breaker_failures=1)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        answers = [await client.post("/api/v1/students", content=b"1234567890") for _ in range(2)]

    assert [each.status_code for each in answers] == [504, 503]


async def test_slow_uploads_leave_connections_to_others(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    begun, may_end = 0, asyncio.Event()

    async def slow_body() -> AsyncGenerator[bytes]:
        nonlocal begun
        yield b"x"
        begun += 1
        await may_end.wait()

    settings = settings_of(upstream_connections=4, import_body_bytes=4 * 1024 * 1024)

    async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/api/v1/students")
        uploads = [asyncio.create_task(client.post("/api/v1/imports", content=slow_body())) for _ in range(8)]
        while begun < 8:
            await asyncio.sleep(0.1)
        read = await client.get("/api/v1/students")
        may_end.set()
        statuses = [(await upload).status_code for upload in uploads]

    assert read.status_code == 200
    assert sorted(statuses) == [200] + [503] * 7


@asynccontextmanager
async def process(stack: Stack, service_url: str, **env: str) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    port = free_port()
    upstreams = {f"{name.upper()}_URL": service_url for name in SERVICE_NAMES}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env={**os.environ, **stack.service_env("gateway"), **upstreams, "PORT": str(port), **env},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started, f"http://127.0.0.1:{port}"
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def is_live(client: httpx.AsyncClient) -> None:
    """It is given a minute, as a busy machine takes its time to start a process."""
    for _ in range(1200):
        try:
            await client.get("/health/live")
        except httpx.TransportError:
            await asyncio.sleep(0.05)
        else:
            return
    pytest.fail("the gateway did not start")


async def test_a_gateway_that_is_asked_to_stop_first_finishes(stack: Stack, service: Service, service_url: str) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        is_begun.set()
        await may_end.wait()
        await service.echo(scope, receive, send)

    is_begun, may_end = asyncio.Event(), asyncio.Event()
    service.handler = slow

    async with (
        process(stack, service_url, DRAIN_S="2") as (gateway_, url),
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        await is_live(client)
        begun = asyncio.create_task(client.get("/api/v1/students"))
        await is_begun.wait()
        gateway_.send_signal(signal.SIGTERM)
        while (draining := await client.get("/health/ready")).status_code == 200:
            await asyncio.sleep(0.05)
        last = await client.get("/")
        may_end.set()
        finished = await begun
        code = await asyncio.wait_for(gateway_.wait(), 30)

    assert draining.status_code == 503
    assert finished.status_code == 200
    assert last.headers["connection"] == "close"  # none is kept that would be cut in the end
    assert code == 0


async def test_a_stopping_gateway_ends_event_streams_in_order(stack: Stack, service: Service, service_url: str) -> None:
    async def stream(_scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await service.wait_for_abort({}, receive, send)

    service.handler = stream

    async with (
        process(stack, service_url) as (gateway_, url),
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        await is_live(client)
        async with client.stream("GET", "/api/v1/inbox/stream") as answered:
            parts = answered.aiter_raw()
            first = await anext(parts)
            began = time.monotonic()
            gateway_.send_signal(signal.SIGTERM)
            rest = [part async for part in parts]
        code = await asyncio.wait_for(gateway_.wait(), 30)

    assert (first, rest, code) == (b"data: 1\n\n", [], 0)
    assert time.monotonic() - began < 10  # by itself it would last for as long as a service may take


@pytest.mark.parametrize("variable", ["REDIS_URL", "ACADEMIC_URL"])
async def test_a_missing_variable_is_told_in_one_sentence(stack: Stack, variable: str) -> None:
    async with process(stack, "http://127.0.0.1:1", **{variable: ""}) as (gateway_, _):
        _, told = await asyncio.wait_for(gateway_.communicate(), 20)

    assert gateway_.returncode == 2
    assert told.decode().count("\n") == 1
    assert variable in told.decode()


async def test_a_port_that_is_taken_is_told_in_one_sentence(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with process(stack, "http://127.0.0.1:1", PORT=str(port), HOST="127.0.0.1") as (gateway_, _):
            _, told = await asyncio.wait_for(gateway_.communicate(), 20)

    assert gateway_.returncode == 2
    assert "Traceback" not in told.decode()
    assert f"Nothing can listen on 127.0.0.1:{port}" in told.decode()


async def test_two_services_may_stand_behind_different_addresses(
    settings_of: SettingsOf, tokens: Tokens, service: Service
) -> None:
    school = Service()
    school.document["paths"] = {"/api/v1/rooms": {"get": {}}}

    async with served(school) as school_url:
        settings = settings_of(school_url=school_url)
        async with gateway(settings, tokens.verifier) as url, httpx.AsyncClient(base_url=url) as client:
            await client.get("/api/v1/rooms")
            await client.get("/api/v1/students")

    assert [each["path"] for each in school.asked] == ["/api/v1/rooms"]
    assert [each["path"] for each in service.asked] == ["/api/v1/students"]
