"""Settings of the communication service."""

from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from services.communication.files.rules import EXTENSIONS
from shared.settings import ServiceSettings, SettingsError

MAX_DOWNLOAD_S: Final = 300


class Settings(ServiceSettings, frozen=True, kw_only=True):
    poll_s: float = 0.2
    """How often the worker looks for announcements that are due."""
    s3_endpoint_url: str = ""
    """Empty for the real S3."""
    s3_public_endpoint_url: str = ""
    """Where browsers reach the store, when that is not where we do."""
    s3_bucket: str
    s3_region: str
    s3_access_key_id: str
    s3_secret_access_key: str
    cloudfront_domain: str = ""
    """A distribution in front of the bucket, such as `files.example.org`; downloads go there when all three are set."""
    cloudfront_key_pair_id: str = ""
    cloudfront_private_key: str = ""
    """RSA, in PEM."""
    file_max_bytes: int = 50 * 1024 * 1024
    file_quota_bytes: int = 5 * 1024 * 1024 * 1024
    """Of a school, for all its files that are ready or on their way."""
    file_types: str = ",".join(EXTENSIONS)
    """The types that are taken, separated by commas: some of those that can be judged."""
    file_max_pending: int = 20
    """How many uploads a person may have begun and not completed."""
    file_max_unused_bytes: int = 200 * 1024 * 1024
    """How much room of the school a person may take by uploads they have begun and by files that nothing uses."""
    file_upload_url_s: int = 900
    file_download_url_s: int = MAX_DOWNLOAD_S
    """At the most five minutes: who has the URL has the file."""
    file_pending_max_age_h: float = 24.0
    """So long an upload may take until it is forgotten, and an object in the bucket may be unknown to us."""
    file_unused_max_age_d: float = 7.0
    """So long a file that nothing uses is kept, and one that was rejected is told of."""
    file_poll_s: float = 5.0
    """How often the worker looks for files and objects that are to go."""
    bucket_sweep_h: float = 24.0
    """How often the worker looks through the whole bucket for objects that no file knows."""
    scanner_url: str = ""
    """Where clamd looks for viruses, such as `tcp://clamd:3310`. Empty: nobody does, on a developer's machine only."""
    scanner_timeout_s: float = 10.0
    """How long it may take for one file; less than the gateway waits for us (DEADLINE_S)."""
    scanner_max_scans: int = 4
    """How many files of up to 1 MB are scanned at a time, and how many larger ones; half of them of one school."""

    def __post_init__(self) -> None:
        if unknown := self.allowed_types - EXTENSIONS.keys():
            raise SettingsError(f"FILE_TYPES: {', '.join(sorted(unknown))} cannot be judged")
        if self.file_max_unused_bytes < self.file_max_bytes:
            raise SettingsError("FILE_MAX_UNUSED_BYTES: below FILE_MAX_BYTES")
        if not 1 <= self.file_download_url_s <= MAX_DOWNLOAD_S:
            raise SettingsError(f"FILE_DOWNLOAD_URL_S: not between 1 and {MAX_DOWNLOAD_S}")
        if self.scanner_timeout_s <= 0:
            raise SettingsError("SCANNER_TIMEOUT_S: not above 0")
        if self.scanner_max_scans < 1:
            raise SettingsError("SCANNER_MAX_SCANS: below 1")
        _ = self.scanner_address

    @property
    def allowed_types(self) -> frozenset[str]:
        return frozenset(each.strip() for each in self.file_types.split(",") if each.strip())

    @property
    def scanner_address(self) -> tuple[str, int] | None:
        """Host and port; None where there is no scanner. Raises SettingsError."""
        if not self.scanner_url:
            return None
        url, port = urlsplit(self.scanner_url), None
        with suppress(ValueError):
            port = url.port
        if url.scheme != "tcp" or not url.hostname or not port or "@" in url.netloc or url.path:
            raise SettingsError("SCANNER_URL: not like tcp://host:port")
        return url.hostname, port
