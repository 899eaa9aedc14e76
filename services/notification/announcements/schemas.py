"""What is known of an announcement besides what is told of it."""

from datetime import datetime

import msgspec


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What its readers see."""

    edition: int
    title: str
    body: str
    expires_at: datetime | None
    """From then on it is no longer listed."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """The newest that was heard; no text while no change was."""

    version: int
    """0 while no change was heard."""
    is_withdrawn: bool
    edition: int | None
    title: str | None
    body: str | None
    expires_at: datetime | None
