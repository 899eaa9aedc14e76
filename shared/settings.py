"""Settings come from the environment, once, into one frozen Struct per service."""

import os
from collections.abc import Mapping
from typing import TypeVar

import msgspec

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class SettingsError(Exception):
    """A variable is missing or cannot be read. Names the variable, never shows its value."""


def load(settings: type[SettingsT], env: Mapping[str, str] = os.environ) -> SettingsT:
    """Read each field of `settings` from the variable of the same name in upper case.

    An empty variable counts as not set. Raises SettingsError for the first missing or unreadable one.
    """
    found = {field: env[field.upper()] for field in settings.__struct_fields__ if env.get(field.upper())}
    try:
        return msgspec.convert(found, settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _explain(error: msgspec.ValidationError) -> str:
    reason, _, place = str(error).partition(" - at `$.")
    if place:
        return f"{place.rstrip('`').upper()}: {reason}"
    return reason.replace("Object missing required field", "missing variable").replace("`", "").upper()
