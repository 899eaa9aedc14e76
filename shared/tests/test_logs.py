"""Logs are for machines and strangers: one JSON line each, and nobody's name in them."""

import json

import pytest
import structlog

from shared import logs

NAME = "Ada Lovelace-Canary"


@pytest.fixture(autouse=True)
def as_before() -> object:
    yield
    structlog.reset_defaults()


def fail(name: str) -> None:
    raise ValueError(f"{name} is no number")


def line_of_failure(capsys: pytest.CaptureFixture[str]) -> str:
    log = structlog.get_logger()
    try:
        fail(NAME)
    except ValueError:
        log.exception("event_failed", type="academic.student_changed.v1")
    return capsys.readouterr().out


def test_an_exception_is_told_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logs("test")

    line = line_of_failure(capsys)

    told = json.loads(line)
    assert told["event"] == "event_failed"
    assert told["exception"]["type"] == "ValueError"
    assert told["exception"]["frames"][-1].endswith(" fail")
    assert NAME not in line


def test_control_the_librarys_own_traceback_tells_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logs("test")
    processors = [
        structlog.processors.dict_tracebacks if each is logs._exception_without_words else each  # pyright: ignore[reportPrivateUsage]
        for each in structlog.get_config()["processors"]
    ]
    structlog.configure(processors=processors)

    assert NAME in line_of_failure(capsys)
