"""Identifiers: UUIDv7, made here and not in the database (RFC 9562; sorted by time, so indexes stay dense)."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    return uuid7()
