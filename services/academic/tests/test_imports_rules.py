"""What a file means for each school, and what may not be applied without a second look."""

from datetime import date

import msgspec
import pytest

from services.academic.classes.schemas import ImportedClass
from services.academic.enrolments.schemas import ImportedEnrolment
from services.academic.imports import rules
from services.academic.imports.schemas import Counts, SchoolRoster
from services.academic.people.schemas import ImportedPerson

TODAY = date(2026, 11, 23)


def people(count: int) -> dict[str, ImportedPerson]:
    return {
        f"p{number}": ImportedPerson(sourced_id=f"p{number}", given_name="A", family_name="", email=None)
        for number in range(count)
    }


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [(100, 95, False), (100, 94, True), (20, 19, False), (19, 18, True), (1, 0, True), (0, 0, False), (10, 200, False)],
)
def test_more_than_a_twentieth_gone_is_told(before: int, after: int, is_told: bool) -> None:
    told = rules.vanished_people("North", SchoolRoster(students=people(after)), SchoolRoster(students=people(before)))

    assert bool(told) is is_told


def test_a_school_that_empties_is_not_hidden_by_a_large_one() -> None:
    told = rules.vanished_people("North", SchoolRoster(), SchoolRoster(teachers=people(10)))

    with pytest.raises(rules.TooManyVanished, match="North: 10 of 10"):
        rules.require_confirmed(told, is_confirmed=False)
    rules.require_confirmed(told, is_confirmed=True)


def test_new_changed_unchanged_and_gone_are_counted() -> None:
    wanted, present = people(3), people(4)
    del present["p0"]
    present["p1"] = msgspec.structs.replace(present["p1"], given_name="B")

    assert rules.compare(wanted, present) == Counts(new=1, changed=1, unchanged=1, gone=1)


def a_class(*grades: str) -> dict[str, ImportedClass]:
    return {
        "c": ImportedClass(
            sourced_id="c",
            title="Art",
            kind="scheduled",
            course_sourced_id=None,
            periods=(),
            room=None,
            term_sourced_ids=(),
            grades=grades,
        )
    }


@pytest.mark.parametrize(("wanted", "changed"), [((), 0), (("12",), 0), (("11",), 1)])
def test_a_file_without_grades_changes_none(wanted: tuple[str, ...], changed: int) -> None:
    diff = rules.school_diff(SchoolRoster(classes=a_class(*wanted)), SchoolRoster(classes=a_class("12")), day=TODAY)

    assert diff.classes == Counts(new=0, changed=changed, unchanged=1 - changed, gone=0)


@pytest.mark.parametrize(
    ("ends_on", "is_gone"), [(None, True), (TODAY, True), (date(2026, 11, 22), False), (date(2027, 1, 1), True)]
)
def test_only_enrolments_that_still_run_can_go(ends_on: date | None, is_gone: bool) -> None:
    enrolment = ImportedEnrolment(
        sourced_id="e",
        class_sourced_id="c",
        person_sourced_id="p",
        role="student",
        is_primary=False,
        starts_on=date(2026, 8, 1),
        ends_on=ends_on,
    )

    gone = rules.gone_enrolments(SchoolRoster(), SchoolRoster(enrolments={"e": enrolment}), day=TODAY)

    assert (gone == ["e"]) is is_gone
