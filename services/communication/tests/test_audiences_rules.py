"""The algebra of audiences."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.communication.audiences import rules
from services.communication.audiences.schemas import Audience, Reach, Rule
from shared.ids import new_id

IDS = st.sampled_from([UUID(int=number) for number in range(1, 6)])
OF_STUDENTS = st.lists(st.sampled_from(["student", "guardian"]), min_size=1, max_size=2)
OF_CLASS = st.lists(st.sampled_from(["student", "guardian", "teacher"]), min_size=1, max_size=3)
KINDS: Any = st.one_of(
    st.just({"kind": "school"}),
    st.fixed_dictionaries({"kind": st.just("role"), "role": st.sampled_from(["guardian", "student", "staff"])}),
    st.fixed_dictionaries({"kind": st.just("grade"), "grade": st.sampled_from(["1", "2"]), "who": OF_STUDENTS}),
    st.fixed_dictionaries({"kind": st.just("class"), "class_id": IDS, "who": OF_CLASS}),
    st.fixed_dictionaries({"kind": st.just("absent_today"), "class_id": st.none() | IDS, "who": OF_STUDENTS}),
    st.fixed_dictionaries({"kind": st.just("person"), "person_id": IDS}),
)
RULES = st.lists(KINDS.map(lambda made: msgspec.convert(made, Rule)), min_size=1, max_size=8)


def reach(include: list[Rule]) -> Reach:
    return rules.reach_of(Audience(include=include))


def contains(larger: Reach, smaller: Reach) -> bool:
    return all(
        getattr(larger, name) | getattr(smaller, name) == getattr(larger, name) for name in Reach.__struct_fields__
    )


@given(include=RULES, seed=st.randoms())
def test_neither_order_nor_repetition_makes_a_difference(include: list[Rule], seed: Any) -> None:
    shuffled = [*include, *include]
    seed.shuffle(shuffled)

    assert reach(shuffled) == reach(include)


@given(one=RULES, other=RULES)
def test_two_audiences_together_reach_what_either_does(one: list[Rule], other: list[Rule]) -> None:
    both = reach([*one, *other])

    assert contains(both, reach(one))
    assert contains(both, reach(other))
    for name in Reach.__struct_fields__:
        assert getattr(both, name) == getattr(reach(one), name) | getattr(reach(other), name)


@given(include=RULES)
def test_every_rule_says_something(include: list[Rule]) -> None:
    assert all(reach([rule]) != Reach() for rule in include)


@given(include=RULES)
def test_what_is_named_is_found_again_at_its_place(include: list[Rule]) -> None:
    audience = Audience(include=include)
    document = {"audience": msgspec.to_builtins(audience)}

    for pointer, id_ in [*rules.class_ids(audience), *rules.person_ids(audience)]:
        value: Any = document
        for step in pointer.split("/")[1:]:
            value = value[int(step) if isinstance(value, list) else step]
        assert value == str(id_)


@given(include=RULES)
def test_a_teacher_names_classes_and_persons_only(include: list[Rule]) -> None:
    """What a teacher may say at all reaches nobody but through a class or as a person."""
    found = reach(include)
    is_wide = found.roles or found.student_grades or found.guardian_grades
    is_wide = is_wide or found.absent_students or found.absent_guardians

    if is_wide:
        with pytest.raises(rules.OutsideYourClasses):
            rules.require_own_classes(Audience(include=include))
    else:
        rules.require_own_classes(Audience(include=include))


def test_staff_are_the_teachers_and_those_who_run_the_school() -> None:
    found = reach([msgspec.convert({"kind": "role", "role": "staff"}, Rule)])

    assert found.roles == {"teacher", "school_admin"}


def test_the_whole_school_is_everybody_and_includes_every_role() -> None:
    whole = reach([msgspec.convert({"kind": "school"}, Rule)])
    roles = [msgspec.convert({"kind": "role", "role": each}, Rule) for each in ("student", "guardian", "staff")]

    assert reach(roles) == whole


def test_each_unknown_one_is_told_with_its_place() -> None:
    known, unknown = new_id(), new_id()
    include = [msgspec.convert({"kind": "person", "person_id": str(each)}, Rule) for each in (known, unknown)]

    with pytest.raises(rules.UnknownInAudience) as refused:
        rules.require_known(rules.person_ids(Audience(include=include)), frozenset({known}))

    assert [each.pointer for each in refused.value.errors] == ["/audience/include/1/person_id"]
