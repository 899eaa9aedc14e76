"""The secrets of a run folder, and the environment that each of our processes gets."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tools.embedded.object_store import REGION
from tools.embedded.processes import PartFailed
from tools.topology import SERVICE_NAMES

BUCKET = "homeroom"
MAIL_FROM = "homeroom@homeroom.example"
LOOPBACK = "127.0.0.1"


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """Made once per run folder and kept, because the data below it depend on them."""

    database: Mapping[str, str]
    """The password of each role: `auth_owner`, `auth_app` and so on."""
    services: Mapping[str, str]
    """What each service shows to `auth` to get a service token."""
    redis: str
    seal_key: str
    signing_key_secret: str
    s3_access_key_id: str
    s3_secret_access_key: str
    bootstrap_email: str = "admin@homeroom.example"
    bootstrap_password: str


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts of one stack are."""

    ports: Mapping[str, int]
    """Of each service and the gateway."""
    database_urls: Mapping[str, str]
    """Of each role."""
    redis_url: str
    bus_url: str
    object_store_url: str
    smtp_url: str
    traces: Path

    def url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}"


def load_or_make_secrets(path: Path) -> Secrets:
    """Read `path`, or write it, readable by its owner only."""
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(_new_secrets()), indent=2))
        unfinished.rename(path)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    except msgspec.DecodeError as error:
        raise PartFailed(
            f"{path} does not fit this version ({error}); `make clean` removes it with all data."
        ) from None


def gateway_env(addresses: Addresses, env: Mapping[str, str]) -> dict[str, str]:
    """`env` wins over everything, here and below."""
    upstreams = {f"{name.upper()}_URL": addresses.url(name) for name in SERVICE_NAMES}
    return {**_common(addresses, "gateway"), **upstreams, "TRUSTED_PROXY_HOPS": "0", **env}


def service_env(service: str, addresses: Addresses, secrets_: Secrets, env: Mapping[str, str]) -> dict[str, str]:
    return {
        **_common(addresses, service),
        "DATABASE_URL": addresses.database_urls[f"{service}_app"],
        "BUS_URL": addresses.bus_url,
        "AUTH_URL": addresses.url("auth"),
        "SERVICE_SECRET": secrets_.services[service],
        "PUBLIC_URL": addresses.url("gateway"),
        **_own_variables(service, addresses, secrets_),
        **env,
    }


def _common(addresses: Addresses, name: str) -> dict[str, str]:
    return {
        "HOST": LOOPBACK,
        "PORT": str(addresses.ports[name]),
        "REDIS_URL": addresses.redis_url,
        "JWKS_URL": f"{addresses.url('auth')}/.well-known/jwks.json",
        "TRACES_FILE": str(addresses.traces / f"{name}.jsonl"),
        "NO_PROXY": f"{LOOPBACK},localhost",
        "PYTHONUNBUFFERED": "1",  # a process that dies has written its last words
    }


def _own_variables(service: str, addresses: Addresses, secrets_: Secrets) -> dict[str, str]:
    match service:
        case "auth":
            return {
                "SEAL_KEY": secrets_.seal_key,
                "SIGNING_KEY_SECRET": secrets_.signing_key_secret,
                "SERVICE_SECRETS": json.dumps(dict(secrets_.services)),
                "BOOTSTRAP_EMAIL": secrets_.bootstrap_email,
                "BOOTSTRAP_PASSWORD": secrets_.bootstrap_password,
                "CLIENT_IP_HEADER": "x-client-ip",
            }
        case "school":
            return {
                "ACADEMIC_URL": addresses.url("academic"),
                "COMMUNICATION_URL": addresses.url("communication"),
                "NOTIFICATION_URL": addresses.url("notification"),
            }
        case "academic":
            return {
                "SCHOOL_URL": addresses.url("school"),
                **_object_store(addresses, secrets_),
            }
        case "communication":
            # No scanner: its signatures alone take more memory than all the rest (docs/operations.md).
            return {"SCANNER_URL": "", **_object_store(addresses, secrets_)}
        case "notification":
            return {"SMTP_URL": addresses.smtp_url, "MAIL_FROM": MAIL_FROM, "SEAL_KEY": secrets_.seal_key}
        case _:
            return {}


def _object_store(addresses: Addresses, secrets_: Secrets) -> dict[str, str]:
    return {
        "S3_ENDPOINT_URL": addresses.object_store_url,
        "S3_BUCKET": BUCKET,
        "S3_REGION": REGION,
        "S3_ACCESS_KEY_ID": secrets_.s3_access_key_id,
        "S3_SECRET_ACCESS_KEY": secrets_.s3_secret_access_key,
    }


def _new_secrets() -> Secrets:
    return Secrets(
        database={f"{service}_{role}": _password() for service in SERVICE_NAMES for role in ("owner", "app")},
        services={service: _password() for service in SERVICE_NAMES},
        redis=_password(),
        seal_key=_fernet_key(),
        signing_key_secret=_fernet_key(),
        s3_access_key_id=secrets.token_hex(10),
        s3_secret_access_key=_password(),
        bootstrap_password=_password(),
    )


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
