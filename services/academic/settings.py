"""Settings of the academic service."""

from shared.objects import Objects
from shared.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    school_url: str
    """Where `school` answers: imports ask it for districts, schools and sessions."""
    s3_endpoint_url: str = ""
    """Empty for the real S3."""
    s3_bucket: str
    s3_region: str
    s3_access_key_id: str
    s3_secret_access_key: str
    import_max_bytes: int = 25 * 1024 * 1024
    """The largest roster file that is taken."""
    import_lease_s: float = 30.0
    """So long after its worker's last sign of life an import is taken up by another."""
    import_poll_s: float = 0.5
    import_file_max_age_d: float = 7.0
    """So long after an import came to rest its roster file is kept, and an import that was checked can be applied."""
    import_sweep_s: float = 3600.0
    """How often the worker looks for roster files that are to go."""
    lesson_watch_poll_s: float = 2.0
    """How often the worker looks whether a register has become missing anywhere."""
    plan_watch_poll_s: float = 1.0
    """How often the worker looks whether the lessons of a day differ from what was told of them."""


def objects_of(settings: Settings) -> Objects:
    """The bucket where uploaded rosters are kept."""
    return Objects(
        endpoint_url=settings.s3_endpoint_url,
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key,
    )
