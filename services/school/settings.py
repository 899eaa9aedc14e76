"""Settings of the school service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    academic_url: str
    """Where `academic` answers: read models that are made anew are made of its snapshots."""
    communication_url: str
    """Where `communication` answers: it has the snapshots of what there is to read."""
    notification_url: str
    """Where `notification` answers: it has the snapshots of what became of mails."""
    default_time_zone: str = "UTC"
    """The IANA zone of a school that a roster names for the first time, until its admin sets another."""
