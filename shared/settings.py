"""Settings come from the environment, once, into one frozen Struct per service."""

import os
from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What each of our processes needs, the gateway too."""

    redis_url: str
    redis_timeout_s: float = 0.25
    """Who waited so long for Redis does without, and so does everybody else until Redis answers again: each process
    limits for itself, and reads go to the primary."""
    jwks_url: str
    """Where `auth` publishes the keys that sign tokens."""
    jwks_cooldown_s: float = 30.0
    """An unknown key id makes us fetch the keys again, but not more often than this."""
    host: str = "127.0.0.1"
    port: int = 0
    stop_grace_s: float = 10.0
    """How long a stopping process may finish what it began."""
    drain_s: float = 0.0
    """How long a stopping process still accepts after it has told `/health/ready` that it stops."""
    log_level: str = "INFO"
    otel_exporter_otlp_endpoint: str = ""
    traces_file: str = ""


class ServiceSettings(ProcessSettings, frozen=True, kw_only=True):
    """What every service needs; a service's own settings extend this."""

    database_url: str
    """Connects as the app role of the service, never as the owner of its tables."""
    database_pool_min: int = 1
    database_pool_max: int = 5
    worker_port: int = 0
    """Where a worker that runs alone answers for its health and metrics; 0: nowhere."""
    worker_pool_max: int = 3
    """The worker's own pool. Five services with both, a listener each, and an import: below 50 connections in all."""
    database_pool_wait_s: float = 2.0
    """How long a request may wait for a connection before it is told 503."""
    database_pool_waiting: int = 200
    """How many requests may wait at once; further ones are told 503 at once."""
    database_read_url: str = ""
    """A replica, for what callers read; empty: there is none. Connects as the same role."""
    database_read_pool_max: int = 2
    """So many of `database_pool_max` go to the replica, when there is one: the sum stays the same."""
    database_read_stale_s: float = 10.0
    """No answer of the replica misses anything older than this; what callers wrote themselves is never missed."""
    database_read_answer_s: float = 2.0
    """How long the replica may take before the primary is asked."""
    bus_url: str
    auth_url: str
    service_secret: str = ""
    public_url: str = "http://127.0.0.1:8000"
    """The gateway, as a browser reaches it: for links in mails."""
    cache_session_s: float = 900.0
    """How long it is remembered who a login is and what it may choose from. A session that ended is over at once."""
    cache_school_s: float = 3600.0
    """Of a school's settings, sessions, bell schedule, days and rooms. Here and below: until they are written."""
    cache_class_list_s: float = 1800.0
    """Of classes and who is in them."""
    cache_timetable_s: float = 3600.0
    """Of the lessons of a day."""
    cache_dashboard_s: float = 300.0
    cache_timeout_s: float = 0.025
    """Who waited so long for Redis asks the database, and so does everybody else until Redis answers again."""
    cache_memory_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """While more than this of Redis' `maxmemory` is used, by whomever, caches store nothing new."""

    def cache_s(self, name: str) -> float:
        """How long answers of a cache live at the most."""
        return float(getattr(self, f"cache_{name}_s"))

    @property
    def longest_cache_s(self) -> float:
        return max(
            self.cache_session_s,
            self.cache_school_s,
            self.cache_class_list_s,
            self.cache_timetable_s,
            self.cache_dashboard_s,
        )


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
