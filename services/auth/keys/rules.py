"""Which key signs, which are published, and what stands in a token."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.auth.keys.schemas import SigningKey
from shared import identity
from shared.ids import new_id

PUBLISHED_BEFORE_USE: Final = timedelta(minutes=5)
"""So long every verifier has fetched a new key; its cache lives 60 s."""
KEY_LIFE: Final = timedelta(days=90)
KEPT_AFTER_USE: Final = timedelta(days=1)
"""Far longer than any token lives."""


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """The newest that every verifier knows; of young keys alone, the oldest."""
    known = [key for key in keys if key.created_at <= now - PUBLISHED_BEFORE_USE]
    return max(known, key=_age) if known else min(keys, key=_age)


def needs_new_key(keys: Sequence[SigningKey], now: datetime) -> bool:
    return all(key.created_at <= now - KEY_LIFE for key in keys)


def retired_before(keys: Sequence[SigningKey], now: datetime) -> datetime:
    """Keys made before this instant sign nothing that is still valid."""
    replaced = [key.created_at for key in keys if key.created_at <= now - PUBLISHED_BEFORE_USE - KEPT_AFTER_USE]
    return max(replaced, default=datetime.min.replace(tzinfo=now.tzinfo))


def access_claims(
    *,
    user_id: UUID,
    session_id: UUID,
    role: str,
    school_id: UUID | None,
    person_id: UUID | None,
    now: datetime,
    seconds: int,
) -> Mapping[str, object]:
    return {
        **_claims(str(user_id), identity.AUDIENCE, now, seconds),
        "sid": str(session_id),
        "role": role,
        "school": str(school_id) if school_id else None,
        "person": str(person_id) if person_id else None,
    }


def service_claims(service: str, *, now: datetime, seconds: int) -> Mapping[str, object]:
    return _claims(f"service:{service}", identity.INTERNAL_AUDIENCE, now, seconds)


def is_secret_of(service: str, secret: str, known: Mapping[str, str]) -> bool:
    """Takes the same time for an unknown service."""
    right = secrets.compare_digest(secret.encode(), known.get(service, "").encode())
    return right and bool(known.get(service))


def _claims(subject: str, audience: str, now: datetime, seconds: int) -> Mapping[str, object]:
    issued = int(now.timestamp())
    return {
        "iss": identity.ISSUER,
        "aud": audience,
        "sub": subject,
        "iat": issued,
        "exp": issued + seconds,
        "jti": str(new_id()),
    }


def _age(key: SigningKey) -> datetime:
    return key.created_at
