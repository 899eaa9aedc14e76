"""What a span tells of the work that it stands for."""

import asyncio
import os
import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from shared import telemetry

WORDS = "duplicate key: Key (email)=(ada@home.test) already exists"
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    return exporter


def test_an_error_is_told_by_its_kind_alone(recorded: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="ada"), telemetry.span("send mail", SpanKind.CLIENT):
        raise ValueError(WORDS)

    (told,) = recorded.get_finished_spans()
    assert (told.status.status_code, told.status.description) == (StatusCode.ERROR, "ValueError")
    assert "ada" not in told.to_json()


def test_control_the_librarys_own_manager_would_tell_the_words(recorded: InMemorySpanExporter) -> None:
    with (
        pytest.raises(ValueError, match="ada"),
        telemetry._tracer.start_as_current_span("send mail", record_exception=False),
    ):
        raise ValueError(WORDS)

    assert "ada" in recorded.get_finished_spans()[0].to_json()


def test_a_span_within_another_is_its_child(recorded: InMemorySpanExporter) -> None:
    before = get_current_span()

    with telemetry.span("outer", traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01") as outer:
        with telemetry.span("inner"):
            told = telemetry.traceparent()
        assert get_current_span() is outer

    inner_span, outer_span = recorded.get_finished_spans()
    assert get_current_span() is before
    assert _parent(outer_span) == SPAN_ID
    assert _parent(inner_span) == f"{outer.get_span_context().span_id:016x}"
    assert told is not None
    assert told.split("-")[1] == TRACE_ID


def _parent(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent else None


TELLING = """
from opentelemetry import trace
from shared import settings, telemetry

telemetry.set_up_tracing("academic", settings.load(settings.ProcessSettings))
with telemetry.span("save a register"):
    pass
trace.get_tracer_provider().shutdown()
"""


async def test_spans_leave_for_the_collector_that_is_named() -> None:
    told: list[bytes] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        told.append(head.partition(b"\r\n")[0] + await reader.readexactly(int(length.partition(b":")[2])))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(collect, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host}:{port}/"}
        env = {**os.environ, "REDIS_URL": "redis://redis.test", "JWKS_URL": "http://auth.test", **named}
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", TELLING, env=env)
        assert await child.wait() == 0

    assert told[0].startswith(b"POST /v1/traces HTTP/1.1")
    assert b"save a register" in told[0]
    assert b"academic" in told[0]
