"""The envelope around every event: CloudEvents 1.0, structured JSON, with a `version` per aggregate."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """`subject` names the aggregate; of two events about it, the one with the higher `version` is right."""

    specversion: str = "1.0"
    id: UUID
    source: str
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    subject: str
    version: int
    schoolid: UUID | None = None
    traceparent: str | None = None
    """The W3C context of the request that caused the event."""
    datacontenttype: str = "application/json"
    data: msgspec.Raw


def event_type(event: type[msgspec.Struct]) -> str:
    """The type of an event for ever, such as `academic.student_changed.v1`."""
    tag = event.__struct_config__.tag
    assert isinstance(tag, str), f"{event.__name__} has no tag"
    return tag
