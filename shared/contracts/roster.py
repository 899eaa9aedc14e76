"""What an import asks of `school` over HTTP (`PUT /internal/roster`): a district, its schools, its years and terms."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from shared.contracts.school import CalendarChanged, SchoolChanged

SourcedId = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class RosterDistrict(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: SourcedId
    name: Title


class RosterSchool(msgspec.Struct, frozen=True, kw_only=True):
    sourced_id: SourcedId
    name: Title


class RosterSession(msgspec.Struct, frozen=True, kw_only=True):
    """A year, term or grading period of the district; every school gets its own copy."""

    sourced_id: SourcedId
    title: Title
    kind: Literal["school_year", "term", "grading_period"]
    starts_on: date
    ends_on: date
    parent_sourced_id: SourcedId | None = None


class RosterUpsert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole roster of one district, found again by its `sourced_id`s; sending it again changes nothing."""

    district: RosterDistrict
    schools: list[RosterSchool]
    academic_sessions: list[RosterSession]


class RosterSchoolSaved(msgspec.Struct, frozen=True, kw_only=True):
    """A school as it now is, with the versions of the events that tell the same."""

    sourced_id: str
    is_new: bool
    school: SchoolChanged
    school_version: int
    calendar: CalendarChanged
    calendar_version: int


class RosterUpserted(msgspec.Struct, frozen=True, kw_only=True):
    district_id: UUID
    schools: list[RosterSchoolSaved]
