"""The algebra of audiences. Pure: what rules come to, and which a teacher may use."""

from collections.abc import Collection, Iterator, Mapping
from functools import reduce
from typing import Final, TypeVar, cast
from uuid import UUID

import msgspec

from services.communication.audiences.schemas import (
    AbsentTodayRule,
    Audience,
    ClassRule,
    GradeRule,
    PersonRule,
    Reach,
    Role,
    RoleRule,
    Rule,
    SchoolRule,
)
from shared.problems import FieldError, Forbidden, Invalid, NotFound

T = TypeVar("T")

EVERYBODY: Final[frozenset[Role]] = frozenset({"student", "guardian", "teacher", "school_admin"})
ROLES_OF: Final[Mapping[str, frozenset[Role]]] = {
    "student": frozenset({"student"}),
    "guardian": frozenset({"guardian"}),
    "teacher": frozenset({"teacher"}),
    "staff": frozenset({"teacher", "school_admin"}),
}


FLAGS: Final = frozenset({"absent_students", "absent_guardians"})
"""The fields of a Reach that are no sets."""


class OutsideYourClasses(Forbidden):
    slug = "outside-your-classes"
    title = "Teachers write to their own classes"


class UnknownInAudience(NotFound):
    """A class or a person that is not there, or not the author's: both look the same."""

    slug = "unknown-in-audience"
    title = "The audience names what is not there"


class NobodyToTell(Invalid):
    slug = "nobody-to-tell"
    title = "Nobody is in the audience"


def reach_of(audience: Audience) -> Reach:
    """All rules together: their order, and rules that say the same twice, make no difference."""
    return reduce(_joined, (_reach_of_rule(rule) for rule in audience.include), Reach())


def _reach_of_rule(rule: Rule) -> Reach:
    match rule:
        case SchoolRule():
            return Reach(roles=EVERYBODY)
        case RoleRule():
            return Reach(roles=ROLES_OF[rule.role])
        case GradeRule():
            of = frozenset({rule.grade})
            return Reach(student_grades=_if("student", rule.who, of), guardian_grades=_if("guardian", rule.who, of))
        case ClassRule():
            of = frozenset({rule.class_id})
            return Reach(
                student_classes=_if("student", rule.who, of),
                guardian_classes=_if("guardian", rule.who, of),
                teacher_classes=_if("teacher", rule.who, of),
            )
        case AbsentTodayRule():
            return _reach_of_absent(rule.class_id, rule.who)
        case PersonRule():
            return Reach(person_ids=frozenset({rule.person_id}))


def _reach_of_absent(class_id: UUID | None, who: Collection[str]) -> Reach:
    if class_id is None:
        return Reach(absent_students="student" in who, absent_guardians="guardian" in who)
    of = frozenset({class_id})
    return Reach(absent_student_classes=_if("student", who, of), absent_guardian_classes=_if("guardian", who, of))


def _if(who: str, named: Collection[str], of: frozenset[T]) -> frozenset[T]:
    return of if who in named else frozenset()


def _joined(one: Reach, other: Reach) -> Reach:
    fields = Reach.__struct_fields__
    return Reach(**{name: getattr(one, name) | getattr(other, name) for name in fields})


def class_ids(audience: Audience) -> Iterator[tuple[str, UUID]]:
    """Each class that is named, with where."""
    for number, rule in enumerate(audience.include):
        if isinstance(rule, ClassRule | AbsentTodayRule) and rule.class_id is not None:
            yield f"/audience/include/{number}/class_id", rule.class_id


def person_ids(audience: Audience) -> Iterator[tuple[str, UUID]]:
    """Each person that is named, to be written to or to be left out, with where."""
    for number, rule in enumerate(audience.include):
        if isinstance(rule, PersonRule):
            yield f"/audience/include/{number}/person_id", rule.person_id
    for number, person_id in enumerate(audience.exclude):
        yield f"/audience/exclude/{number}", person_id


def persons_only(audience: Audience) -> Reach:
    """The single persons that are named, to see whether the author can write to them at all."""
    return Reach(person_ids=frozenset(person_id for _, person_id in person_ids(audience)))


def require_own_classes(audience: Audience) -> None:
    """Raises OutsideYourClasses for a rule that reaches further than classes and single persons."""
    errors = [
        FieldError(f"/audience/include/{number}", "Name a class that you teach.")
        for number, rule in enumerate(audience.include)
        if isinstance(rule, SchoolRule | RoleRule | GradeRule)
        or (isinstance(rule, AbsentTodayRule) and rule.class_id is None)
    ]
    if errors:
        raise OutsideYourClasses("Such an audience is for the office to write to.", errors=errors)


def require_known(named: Iterator[tuple[str, UUID]], known: frozenset[UUID]) -> None:
    """Raises UnknownInAudience for what is not among the known."""
    errors = [FieldError(pointer, "There is no such thing here.") for pointer, id_ in named if id_ not in known]
    if errors:
        raise UnknownInAudience("Look at `errors`; nothing was done.", errors=errors)


def columns(reach: Reach) -> dict[str, object]:
    """As parameters of a statement."""
    fields: dict[str, object] = msgspec.structs.asdict(reach)
    return {name: list(cast("frozenset[object]", of)) if name not in FLAGS else of for name, of in fields.items()}
