"""A pattern of one line lets no newline through at its end, though `$` alone would; who misses one is told in words."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from shared.text import in_words
from tools.topology import SERVICE_NAMES

ROOT = Path(__file__).parents[2]


def patterns(part: Any) -> Iterator[str]:
    match part:
        case dict():
            if isinstance(found := part.get("pattern"), str):
                yield found
            for each in part.values():
                yield from patterns(each)
        case list():
            for each in part:
                yield from patterns(each)
        case _:
            pass


def lets_a_newline_in(pattern: str) -> bool:
    """At its end only; where newlines may stand anywhere, it may stand there too."""
    return pattern.endswith("$") and re.search(pattern, "a\na") is None


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_no_line_ends_in_a_newline(service: str) -> None:
    document = msgspec.json.decode((ROOT / "services" / service / "openapi.json").read_bytes())

    assert [each for each in sorted(set(patterns(document))) if lets_a_newline_in(each)] == []


def test_control_a_careless_pattern_is_found() -> None:
    assert lets_a_newline_in(r"^[^\x00-\x1f\x7f]*$")
    assert not lets_a_newline_in(r"^[^\x00-\x08]*$")


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_who_misses_a_pattern_is_told_in_words(service: str) -> None:
    import_module(f"services.{service}.app")
    document = msgspec.json.decode((ROOT / "services" / service / "openapi.json").read_bytes())

    bodies = document["components"]["schemas"]  # keys of requests are headers, and explained where they are read
    assert [each for each in sorted(set(patterns(bodies))) if told_of(each) == in_words(told_of(each))] == []


def told_of(pattern: str) -> str:
    """What msgspec says to whoever misses it."""
    with pytest.raises(msgspec.ValidationError) as told:
        msgspec.convert("\x00", Annotated[str, msgspec.Meta(pattern=pattern)])
    return str(told.value)


def test_control_a_pattern_without_words_is_found() -> None:
    assert in_words(told_of("^unheard of$")) == "Expected `str` matching regex '^unheard of$'"
