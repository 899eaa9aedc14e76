"""What the gateway can be told by its environment."""

import msgspec

from shared.settings import ProcessSettings


class Quota(msgspec.Struct, frozen=True):
    """`requests` in any `window_s`: they may come in one burst, and then flow back evenly."""

    name: str
    requests: int
    window_s: int


class Settings(ProcessSettings, frozen=True, kw_only=True):
    auth_url: str
    school_url: str
    academic_url: str
    communication_url: str
    notification_url: str
    trusted_proxy_hops: int = 0
    """How many proxies of ours stand before us; each adds one address to the right of X-Forwarded-For."""
    allowed_origins: str = ""
    """Origins whose pages may call us from a browser, with commas between them. None by default."""

    anonymous_requests: int = 100
    """For each address (IPv6: each /64) without a valid token, in `anonymous_window_s`."""
    anonymous_window_s: int = 900
    credentials_requests: int = 3000
    """The same, of what takes credentials instead of a token: signing in, refreshing, codes. At eight a whole school
    comes from one address, two thousand people once and some twice; `auth` itself counts what was wrong, more strictly.
    """
    user_requests: int = 600
    """For each signed-in user, in `user_window_s`: a whole school may share one address."""
    user_window_s: int = 60
    school_requests: int = 20_000
    """For all users of a school together, in `school_window_s`, so that no school can starve the others."""
    school_window_s: int = 60
    replicas: int = 1
    """How many gateways share the load: while Redis is down each admits its part of every quota."""

    deadline_s: float = 15.0
    """How long a request may take until its answer begins."""
    import_deadline_s: float = 60.0
    transfer_s: float = 60.0
    """How long an answer that is no event stream may take once it has begun."""
    body_bytes: int = 1024 * 1024
    import_body_bytes: int = 26 * 1024 * 1024
    head_bytes: int = 32 * 1024
    head_s: float = 10.0
    """How long a client may take to send the head of a request."""
    target_bytes: int = 8 * 1024
    keep_alive_s: int = 5
    """How long a connection may lie idle; longer than the proxy in front of us keeps it, which would otherwise send a
    request into one that is just being closed, and repeats no POST."""

    upstream_connections: int = 128
    """To each service. All sign-ins that `auth` lets wait must leave some to who is signed in already."""
    upstream_school_connections: int = 16
    """How many of them one school may use at once, so that others find theirs; its further requests wait."""
    streams: int = 4000
    """Event streams at once, beside those connections; each is one to its reader and one to its service."""
    streams_per_reader: int = 20
    upstream_waiting: int = 1024
    """So many requests may wait for a connection to a service, half of them of one school."""
    upstream_wait_s: float = 5.0
    upstream_connect_s: float = 1.0
    breaker_failures: int = 5
    """So many failures in a row open the circuit of an upstream."""
    breaker_open_s: float = 2.0
    """Then one request is let through to see whether it lives again."""
    contract_fresh_s: float = 60.0
    """How long an upstream's OpenAPI document counts as fresh; a stale one serves until a newer one comes."""

    def upstream_url(self, service: str) -> str:
        return str(getattr(self, f"{service}_url")).rstrip("/")

    @property
    def anonymous_quota(self) -> Quota:
        return Quota("anonymous", self.anonymous_requests, self.anonymous_window_s)

    @property
    def credentials_quota(self) -> Quota:
        return Quota("credentials", self.credentials_requests, self.anonymous_window_s)

    @property
    def user_quota(self) -> Quota:
        return Quota("user", self.user_requests, self.user_window_s)

    @property
    def school_quota(self) -> Quota:
        return Quota("school", self.school_requests, self.school_window_s)

    @property
    def origins(self) -> frozenset[str]:
        return frozenset(origin.strip() for origin in self.allowed_origins.split(",") if origin.strip())
