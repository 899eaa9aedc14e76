"""Whom each line of a CSV of guardians means, and what it makes of their link to the child (ADR 0710). Pure."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from services.academic.guardians.rules import fault, folded, identity, refuse, same_as
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
SEVERAL: Final = "Several guardians of this child have this name. Give the phone or e-mail address of the one meant."

PersonName = tuple[str, str]
Candidate = tuple[Guardian, GuardianLink]


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
    faults = [found for row, each in zip(rows, planned, strict=True) for found in _faults(row, each)]
    refuse([*faults, *_doubles(planned)])
    there = {each.id for each in known.guardians}
    first = {each.guardian.id: each.line for each in reversed(planned)}
    return Plan(
        guardians=[each for each in planned if each.guardian.id not in there and first[each.guardian.id] == each.line],
        added=[each for each in planned if each.before is None],
        changed=[each for each in planned if each.before is not None and each.before != each.link],
        unchanged=[each for each in planned if each.before == each.link],
    )


def guardians_meant(rows: Sequence[LinkRow], known: Known) -> dict[int, Guardian]:
    """The guardian of each line: one of the known, or a new one.

    Without a mailbox a name alone tells of nobody: in another family the father has it too.
    """
    with_mailbox = [row for row in rows if row.guardian.email]
    without = [row for row in rows if not row.guardian.email]
    found = _of_mailboxes(with_mailbox, known)
    taken = {(found[row.line].id, known.students[row.student_sourced_id]) for row in with_mailbox}
    found |= _of_children(without, known, taken)
    return found | _of_phones(without, found)


def _of_mailboxes(rows: Sequence[LinkRow], known: Known) -> dict[int, Guardian]:
    found = {identity(each): each for each in known.guardians if each.email}
    return {row.line: found.setdefault(identity(row.guardian), guardian_of(row.guardian)) for row in rows}


def _of_children(rows: Sequence[LinkRow], known: Known, taken: Container[tuple[UUID, UUID]]) -> dict[int, Guardian]:
    """Who is linked to the very child of a line, by the name in it, and whom no other line names by their mailbox."""
    linked = _linked(known, taken)
    near = {
        row.line: _nearest(row.guardian, linked[known.students[row.student_sourced_id], name_of(row.guardian)])
        for row in rows
    }
    refuse([fault(line, "guardian_email", SEVERAL) for line, guardians in near.items() if len(guardians) > 1])
    return {line: guardians[0] for line, guardians in near.items() if guardians}


def _linked(known: Known, taken: Container[tuple[UUID, UUID]]) -> Mapping[tuple[UUID, PersonName], list[Candidate]]:
    guardians = {each.id: each for each in known.guardians}
    found: defaultdict[tuple[UUID, PersonName], list[Candidate]] = defaultdict(list)
    for link in known.links:
        guardian = guardians[link.guardian_id]
        if (guardian.id, link.student_id) not in taken:
            found[link.student_id, name_of(guardian)].append((guardian, link))
    return found


def _nearest(new: NewGuardian, candidates: list[Candidate]) -> list[Guardian]:
    """Of several of one name: who has the phone of the line, who was not deactivated, who has no mailbox either."""
    tests: tuple[Callable[[Guardian, GuardianLink], bool], ...] = (
        lambda guardian, _: bool(digits_of(new.phone)) and digits_of(guardian.phone) == digits_of(new.phone),
        lambda guardian, link: guardian.is_active and link.is_active,
        lambda guardian, _: guardian.email is None,
    )
    for is_nearer in tests:
        candidates = [each for each in candidates if is_nearer(*each)] or candidates
    return [guardian for guardian, _ in candidates]


def _of_phones(rows: Sequence[LinkRow], found: Mapping[int, Guardian]) -> dict[int, Guardian]:
    """The others: lines of one name and phone speak of one guardian, and each of the rest of somebody new."""
    people = {_person(row): found[row.line] for row in reversed(rows) if row.line in found}
    others = [row for row in rows if row.line not in found]
    return {row.line: people.setdefault(_person(row), guardian_of(row.guardian)) for row in others}


def _person(row: LinkRow) -> tuple[PersonName, str]:
    return name_of(row.guardian), digits_of(row.guardian.phone) or f"whoever is meant in line {row.line}"


def name_of(guardian: Guardian | NewGuardian) -> PersonName:
    return folded(guardian.given_name), folded(guardian.family_name)


def digits_of(phone: str | None) -> str:
    """What makes two phones the same, however they are written; nothing of a mere dash."""
    return "".join(each for each in phone or "" if each.isdigit())


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


def _doubles(planned: Sequence[PlannedLink]) -> Iterator[FieldError]:
    """Lines that looked like two guardians until the school was asked."""
    seen: dict[tuple[UUID, UUID], int] = {}
    for each in planned:
        first = seen.setdefault((each.guardian.id, each.link.student_id), each.line)
        if first != each.line:
            yield fault(each.line, "", same_as(first))
