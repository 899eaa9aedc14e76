"""Traces (OpenTelemetry, W3C context over HTTP and events) and metrics (Prometheus).

Spans leave by OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set, or as JSON lines into TRACES_FILE. Without either
nothing is recorded, but the trace id still travels, so that every error body and log line can name it.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import Token
from pathlib import Path
from time import perf_counter
from types import TracebackType

import msgspec
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Histogram

from shared.settings import ProcessSettings

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUEST_SECONDS = Histogram(
    "homeroom_request_seconds",
    "Time to answer a request.",
    ("service", "operation", "status"),
    buckets=SECONDS,
)
DATABASE_SECONDS = Histogram("homeroom_database_seconds", "Time of one database call.", buckets=SECONDS)
PROBLEMS = Counter("homeroom_problems_total", "Problem documents sent.", ("service", "slug"))

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("homeroom")


class JsonLinesExporter(SpanExporter):
    """Appends each span as one JSON line: what a developer without a collector can read and tests can follow."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._path.open("ab") as file:
            file.write(b"".join(msgspec.json.encode(_span_record(span)) + b"\n" for span in spans))
        return SpanExportResult.SUCCESS


def set_up_tracing(service: str, settings: ProcessSettings) -> None:
    """Once per process: an API and a worker that share one share the exporter too."""
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if settings.otel_exporter_otlp_endpoint:
        # A tenth of what a process needs to start, and on a developer's machine there is no collector.
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415 (as said above)

        endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
        provider.add_span_processor(BatchSpanProcessor(trace_exporter.OTLPSpanExporter(endpoint=endpoint)))
    if settings.traces_file:
        exporter = JsonLinesExporter(Path(settings.traces_file))
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)


class span:  # noqa: N801 (read as a verb: `with telemetry.span(…)`)
    """A span, child of `traceparent` when given, else of the current one.

    An exception that leaves it is told by its kind alone. The library's own manager would write its words into the
    span, and those of a database name the row that it is about.
    """

    def __init__(self, name: str, kind: SpanKind = SpanKind.INTERNAL, traceparent: str | None = None) -> None:
        parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
        self._span = _tracer.start_span(name, context=parent, kind=kind)
        self._token: Token[Context] | None = None

    def __enter__(self) -> Span:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        context.detach(self._token)
        if isinstance(error, Exception):
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._span.end()


def traceparent() -> str | None:
    """The current span as a W3C traceparent, to be handed on in a header, an event or a mail."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str:
    """The current trace id in hex, zeros outside any span."""
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


@contextmanager
def database_call() -> Generator[None]:
    started = perf_counter()
    try:
        yield
    finally:
        DATABASE_SECONDS.observe(perf_counter() - started)


def _span_record(span: ReadableSpan) -> dict[str, object]:
    own, resource = span.context, span.resource
    assert own is not None
    return {
        "trace_id": f"{own.trace_id:032x}",
        "span_id": f"{own.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "service": resource.attributes.get("service.name"),
        "name": span.name,
        "kind": span.kind.name,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": dict(span.attributes or {}),
    }
