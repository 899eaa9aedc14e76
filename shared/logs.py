"""One JSON log line per request or message: a constant event name, facts as fields, never personal data."""

import logging
import sys
import traceback

import structlog
from opentelemetry import trace

SILENCED = ("httpx", "httpcore", "botocore", "boto3", "urllib3", "aiormq", "aio_pika", "mail.log")


def set_up_logs(service: str, level: str = "INFO") -> None:
    """Send every log line, the libraries' too, to standard output as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_trace,
            _exception_without_words,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _StandardOutput(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.WARNING,
        format='{"library": "%(name)s", "level": "%(levelname)s", "event": "%(message)s"}',
    )
    for name in SILENCED:
        logging.getLogger(name).setLevel(logging.ERROR)


class _StandardOutput:
    """Writes to whatever standard output is at the moment: tests swap it."""

    def msg(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")

    debug = info = warning = error = critical = msg


def _exception_without_words(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Where an exception came from and of which kind; its text and the variables around it may name children."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["exception"] = {
            "type": type(error).__name__,
            "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
    return event


def _add_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event
