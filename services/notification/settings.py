"""Settings of the notification service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    seal_key: str
    """Opens the one-time codes that `auth` has sealed."""
    smtp_url: str
    """`smtp://host:port`, `smtps://…` for TLS from the start; a user and password before the host when needed.

    A password is never sent without TLS: `smtp://` with one needs a server that offers STARTTLS.
    """
    mail_from: str
    """The address that mails come from; the school's name stands before it."""
    smtp_connections: int = 4
    """How many mails may be on their way at once; also the most that one crash can send twice."""
    smtp_timeout_s: float = 15.0
    """For one attempt as a whole, from the connection to the server's last answer."""
    mail_attempts: int = 8
    mail_retry_base_s: float = 10.0
    """The delay before the second attempt; each further one is three times longer, up to an hour."""
    alert_max_age_h: float = 24.0
    """So long after the end of a day its absences are still told; later they are only recorded."""
    poll_s: float = 0.2
    """How often the worker looks for alerts and mails that are due."""
