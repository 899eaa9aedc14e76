"""What was once sent can be read for ever."""

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from shared.contracts.academic import AcademicEvent
from shared.contracts.auth import AuthEvent
from shared.contracts.communication import CommunicationEvent
from shared.contracts.envelope import event_type
from shared.contracts.notification import NotificationEvent
from shared.contracts.school import SchoolEvent
from tools.dumps import EVENTS, events

EVERY_EVENT = AcademicEvent | AuthEvent | CommunicationEvent | NotificationEvent | SchoolEvent


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
