"""A pattern of one line lets no newline through at its end, though `$` alone would."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

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
