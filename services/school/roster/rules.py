"""What a roster must be like, and what of it is news."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from services.school.calendar.rules import SPREAD, outside, wrong_length
from shared.contracts.roster import RosterSession, RosterUpsert
from shared.contracts.school import AcademicSession
from shared.problems import FieldError, Invalid

T = TypeVar("T")


class InvalidRoster(Invalid):
    slug = "invalid-roster"
    title = "The roster contradicts itself"


def require_consistent(roster: RosterUpsert) -> list[RosterSession]:
    """The sessions, each parent before its parts. Raises InvalidRoster, naming all that is wrong."""
    errors = [
        *_twice(roster.schools, "/schools", lambda school: school.sourced_id),
        *_twice(roster.academic_sessions, "/academic_sessions", lambda session: session.sourced_id),
        *_wrong_sessions(roster.academic_sessions),
    ]
    if errors:
        raise InvalidRoster(errors=errors)
    return parents_first(roster.academic_sessions)


def _twice(items: Sequence[T], place: str, key: Callable[[T], str]) -> list[FieldError]:
    seen: set[str] = set()
    errors: list[FieldError] = []
    for index, item in enumerate(items):
        if key(item) in seen:
            errors.append(FieldError(f"{place}/{index}/sourced_id", "Is there twice."))
        seen.add(key(item))
    return errors


def _wrong_sessions(sessions: Sequence[RosterSession]) -> list[FieldError]:
    known = {session.sourced_id: session for session in sessions}
    return [
        error
        for index, session in enumerate(sessions)
        for error in _wrong_session(session, known, f"/academic_sessions/{index}")
    ]


def _wrong_session(session: RosterSession, known: Mapping[str, RosterSession], place: str) -> list[FieldError]:
    """A term may be part of a term: other systems call semesters and quarters so."""
    if wrong := wrong_length(session.starts_on, session.ends_on, place=place):
        return wrong
    if session.parent_sourced_id is None:
        return []
    parent = known.get(session.parent_sourced_id)
    if parent is None:
        return [FieldError(f"{place}/parent_sourced_id", "The roster has no such session.")]
    if session.kind == "school_year" or SPREAD[parent.kind] > SPREAD[session.kind]:
        return [FieldError(f"{place}/parent_sourced_id", f"A {parent.kind} has no {session.kind}.")]
    return outside(session.starts_on, session.ends_on, parent.starts_on, parent.ends_on, place=place)


def parents_first(sessions: Sequence[RosterSession]) -> list[RosterSession]:
    """Raises InvalidRoster for sessions that are part of themselves."""
    placed: dict[str, RosterSession] = {}
    waiting = list(sessions)
    while waiting:
        ready = [each for each in waiting if each.parent_sourced_id is None or each.parent_sourced_id in placed]
        if not ready:
            raise InvalidRoster(f"The session {waiting[0].sourced_id} is part of itself.")
        placed.update({each.sourced_id: each for each in ready})
        waiting = [each for each in waiting if each.sourced_id not in placed]
    return list(placed.values())


def sessions_of(roster: Sequence[RosterSession], ids: Mapping[str, UUID]) -> list[AcademicSession]:
    """A school's own copy of the sessions; `ids` are its ids for each of them."""
    return [
        AcademicSession(
            academic_session_id=ids[each.sourced_id],
            sourced_id=each.sourced_id,
            title=each.title,
            kind=each.kind,
            starts_on=each.starts_on,
            ends_on=each.ends_on,
            parent_id=ids[each.parent_sourced_id] if each.parent_sourced_id else None,
        )
        for each in roster
    ]


def news(wanted: Sequence[AcademicSession], known: Sequence[AcademicSession]) -> list[AcademicSession]:
    """Those that are not known as they are wanted, in the order given."""
    before = {each.academic_session_id: each for each in known}
    return [each for each in wanted if before.get(each.academic_session_id) != each]
