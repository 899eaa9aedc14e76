"""Districts and schools, as the platform admin lists them."""

from uuid import UUID

import msgspec


class District(msgspec.Struct, frozen=True, kw_only=True):
    district_id: UUID
    sourced_id: str
    name: str


class DirectoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    school_id: UUID
    district_id: UUID
    sourced_id: str
    name: str


class RosterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A school of a district, as its roster knows it."""

    school_id: UUID
    sourced_id: str
    roster_name: str
    """What the roster called it last."""


class SchoolId(msgspec.Struct, frozen=True, kw_only=True):
    school_id: UUID


class NameKey(msgspec.Struct, frozen=True):
    """Where a page of districts or schools ends."""

    name: str
    id: UUID
