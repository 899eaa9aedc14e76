"""Settings of the school service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    default_time_zone: str = "UTC"
    """The IANA zone of a school that a roster names for the first time, until its admin sets another."""
