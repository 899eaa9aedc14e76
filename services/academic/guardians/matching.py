"""Whom each line of a CSV of guardians means, and what it makes of their link to the child (ADR 0710). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from services.academic.guardians.rules import fault, identity, refuse
from services.academic.guardians.schemas import (
    Guardian,
    GuardianLink,
    LinkRow,
    NewGuardian,
    NewGuardianLink,
    Plan,
    PlannedLink,
)
from shared.ids import new_id
from shared.problems import FieldError

GUARDIAN_LEFT: Final = "The office has deactivated this guardian. Make them active again first, or leave out the line."
LINK_ENDED: Final = "The office has deactivated this link. Make it active again first, or leave out the line."


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the school has before the file is taken over."""

    students: Mapping[str, UUID]
    guardians: Sequence[Guardian]
    links: Sequence[GuardianLink]


def guardian_of(new: NewGuardian) -> Guardian:
    return Guardian(id=new_id(), is_active=True, version=1, **msgspec.structs.asdict(new))


def link_of(new: NewGuardianLink) -> GuardianLink:
    return GuardianLink(id=new_id(), is_active=True, version=1, **msgspec.structs.asdict(new))


def plan(rows: Sequence[LinkRow], known: Known) -> Plan:
    """What the lines would change. Raises UnreadableCsv with every line that cannot be taken over."""
    refuse(list(_unknown_students(rows, known.students)))
    meant = guardians_meant(rows, known)
    links = {(each.guardian_id, each.student_id): each for each in known.links}
    planned = [_planned(row, meant[row.line], known.students[row.student_sourced_id], links) for row in rows]
    refuse([found for row, each in zip(rows, planned, strict=True) for found in _faults(row, each)])
    there = {each.id for each in known.guardians}
    first = {each.guardian.id: each.line for each in reversed(planned)}
    return Plan(
        guardians=[each for each in planned if each.guardian.id not in there and first[each.guardian.id] == each.line],
        added=[each for each in planned if each.before is None],
        changed=[each for each in planned if each.before is not None and each.before != each.link],
        unchanged=[each for each in planned if each.before == each.link],
    )


def guardians_meant(rows: Sequence[LinkRow], known: Known) -> dict[int, Guardian]:
    """The guardian of each line: one of the known, or a new one."""
    found = {identity(each): each for each in known.guardians}
    return {row.line: found.setdefault(identity(row.guardian), guardian_of(row.guardian)) for row in rows}


def _unknown_students(rows: Sequence[LinkRow], students: Mapping[str, UUID]) -> Iterator[FieldError]:
    for row in rows:
        if row.student_sourced_id not in students:
            reason = f"No student {row.student_sourced_id!r} at this school."
            yield fault(row.line, "student_sourced_id", reason)


def _planned(
    row: LinkRow, guardian: Guardian, student_id: UUID, links: Mapping[tuple[UUID, UUID], GuardianLink]
) -> PlannedLink:
    """A new link has what is usual where the line says nothing; one that is there keeps what it has."""
    said = {name: value for name, value in msgspec.structs.asdict(row.terms).items() if value is not UNSET}
    before = links.get((guardian.id, student_id))
    if before is None:
        link = link_of(NewGuardianLink(guardian_id=guardian.id, student_id=student_id, **said))
    else:
        link = msgspec.structs.replace(before, **said)
    return PlannedLink(line=row.line, guardian=guardian, before=before, link=link)


def _faults(row: LinkRow, planned: PlannedLink) -> Iterator[FieldError]:
    """What the office took away is given back by the office, at the guardian or the link, and by no file."""
    link = planned.link
    if not planned.guardian.is_active:
        yield fault(row.line, "guardian_email" if row.guardian.email else "given_name", GUARDIAN_LEFT)
    elif not link.is_active:
        yield fault(row.line, "student_sourced_id", LINK_ENDED)
    elif link.starts_on is not None and link.ends_on is not None and link.ends_on < link.starts_on:
        yield _out_of_order(row, link)


def _out_of_order(row: LinkRow, link: GuardianLink) -> FieldError:
    """The file says one of the days, the link that is there has the other."""
    if row.terms.ends_on is UNSET:
        return fault(row.line, "starts_on", f"The link ends before that, on {link.ends_on}.")
    return fault(row.line, "ends_on", f"The link begins after that, on {link.starts_on}.")
