"""What was once sent can be read for ever."""

import pkgutil
import re
from functools import reduce
from importlib import import_module
from operator import or_
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from shared import contracts
from shared.contracts.envelope import event_type
from tools.dumps import EVENTS, UNIONS, events

EVERY_EVENT: Any = reduce(or_, UNIONS.values())
EVENT = re.compile(r"[a-z]+\.[a-z_]+\.v[0-9]+")
MODULES = sorted(each.name for each in pkgutil.iter_modules(contracts.__path__))


def written_in(module: str) -> set[str]:
    """The events that a module of `shared.contracts` defines."""
    structs = [each for each in vars(import_module(f"shared.contracts.{module}")).values() if isinstance(each, type)]
    own = [each for each in structs if issubclass(each, msgspec.Struct) and each.__module__.endswith(f".{module}")]
    return {tag for each in own if EVENT.fullmatch(tag := str(each.__struct_config__.tag))}


@pytest.mark.parametrize("module", MODULES)
def test_every_event_is_told_by_whom_its_module_is_of(module: str) -> None:
    """One that is not has no schema, no sample and no line in docs/events.md."""
    told = {event_type(each) for each in events() if event_type(each).startswith(f"{module}.")}

    assert written_in(module) == told, (
        f"add it to the union at the end of shared/contracts/{module}.py, and that to UNIONS of tools/dumps.py"
    )


def test_control_what_a_module_defines_is_seen_and_nothing_else() -> None:
    assert {"school.school_changed.v1", "school.calendar_changed.v1"} <= written_in("school")
    assert written_in("snapshots") == set()


def holds(written: Any, sample: Any) -> bool:
    """Whether all that the sample says was kept, at every depth; later fields may stand beside it."""
    match sample:
        case dict():
            return all(name in written and holds(written[name], inner) for name, inner in sample.items())
        case list():
            return len(written) == len(sample) and all(map(holds, written, sample))
        case _:
            return written == sample


@pytest.mark.parametrize("event", events(), ids=event_type)
def test_a_committed_sample_is_still_read(event: type[msgspec.Struct]) -> None:
    sample = (EVENTS / f"{event_type(event)}.sample.json").read_bytes()

    read = msgspec.json.decode(sample, type=EVERY_EVENT)

    assert type(read) is event
    written = msgspec.json.decode(msgspec.json.encode(read))
    assert holds(written, msgspec.json.decode(sample))


@pytest.mark.parametrize("event", events(), ids=event_type)
def test_a_committed_sample_fits_its_schema(event: type[msgspec.Struct]) -> None:
    sample = msgspec.json.decode((EVENTS / f"{event_type(event)}.sample.json").read_bytes())
    schema = msgspec.json.decode((EVENTS / f"{event_type(event)}.schema.json").read_bytes())

    Draft202012Validator(schema).validate(sample)


def test_no_sample_is_without_its_event() -> None:
    known = {event_type(event) for event in events()}

    assert {path.name.removesuffix(".sample.json") for path in EVENTS.glob("*.sample.json")} == known


def test_control_a_renamed_field_would_be_seen() -> None:
    sample = msgspec.json.decode((EVENTS / "academic.student_changed.v1.sample.json").read_bytes())
    sample["student_key"] = sample.pop("student_id")

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(sample, EVERY_EVENT)


def test_control_a_field_lost_in_depth_would_be_seen() -> None:
    assert not holds({"days": [{"day": "2026-09-01"}]}, {"days": [{"day": "2026-09-01", "title": "Labor Day"}]})


@pytest.mark.parametrize("event", events(), ids=event_type)
def test_a_field_from_a_later_version_is_passed_over(event: type[msgspec.Struct]) -> None:
    sample = msgspec.json.decode((EVENTS / f"{event_type(event)}.sample.json").read_bytes())

    assert msgspec.convert(sample | {"added_later": 1}, event)
