"""Signing keys and service tokens."""

from datetime import datetime
from typing import Annotated

import msgspec


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """`public_key` is a JWK; the private key is sealed."""

    kid: str
    public_key: str
    sealed_private_key: str
    created_at: datetime


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """A JWK set (RFC 7517) of the keys that sign tokens."""

    keys: list[dict[str, str]]


class ServiceTokenRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    service: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ServiceToken(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int
    """Seconds."""
