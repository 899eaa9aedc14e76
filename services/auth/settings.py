"""Settings of the auth service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    seal_key: str
    """Seals the one-time codes that `notification` writes into mails."""
    signing_key_secret: str
    """Seals what only this service may read again: private keys and current refresh tokens."""
    service_secrets: str
    """A JSON object: what each service must show to get a service token."""
    bootstrap_email: str = ""
    """The first platform admin is made with it, unless there is one."""
    bootstrap_password: str = ""
    client_ip_header: str = ""
    """Where the gateway puts the address of the client; empty: the peer of the connection is the client."""
    hash_threads: int = 2
    hash_waiting: int = 100
    """How many password checks may wait for a thread; further ones are told when to come again.

    With `hash_threads` well below a gateway's `upstream_connections`: each that waits holds one of them.
    """
    hash_wait_s: float = 8.0
    """How long one may wait for a thread, by what hashes took of late; further ones are told as well.

    Well below a gateway's `deadline_s`: a busy machine may be slow, but it must not look as if it were broken.
    """
    access_token_s: int = 600
    refresh_idle_days: int = 30
    invite_days: int = 14
    reset_minutes: int = 60
    attempts: int = 5
    """Per account and address, in `attempt_window_s`."""
    attempts_per_account: int = 30
    reset_mails: int = 5
    """To one mailbox, in `attempt_window_s`, whoever asks and from wherever. More are answered as if they were sent.

    With `reset_minutes` well above that window: who gets no more mails has one whose code is still good.
    """
    attempts_per_ip: int = 300
    """A whole school may stand behind one address."""
    attempt_window_s: int = 900
    poll_s: float = 0.5
    """How often the worker looks for requests of new passwords."""
