"""Read models come out right, however late and however often an event is heard."""

import itertools

import pytest

from services.communication.tests.factories import School, member
from shared.bus import Outcome
from shared.contracts.academic import StudentChanged
from shared.ids import new_id
from shared.testing.bus import deliver


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
async def test_events_of_different_kinds_may_come_in_any_order(school: School, order: tuple[int, ...]) -> None:
    ada, anne, class_id, teacher = new_id(), new_id(), new_id(), new_id()
    events = [
        lambda: school.student(student_id=ada),
        lambda: school.guardian(guardian_id=anne),
        lambda: school.link(anne, ada),
        lambda: school.school_class(member(ada), member(teacher, "teacher"), class_id=class_id),
        lambda: school.teacher(teacher_id=teacher),
    ]

    for number in order:
        await events[number]()

    (contact,) = await school.contacts(class_id, role="teacher", person_id=teacher)
    assert contact["given_name"] == "Ada"
    assert [each["name"] for each in contact["guardians"]] == ["Anne Byron"]


async def test_a_school_that_is_not_yet_known_keeps_the_time_of_utc(school: School) -> None:
    unknown = School(school.client, school.worker, school.tokens, time_zone="UTC")
    ada = await unknown.student()
    await unknown.guardian(ada, starts_on=unknown.today, ends_on=unknown.today)

    assert await unknown.guardians_of(ada) == ["Anne Byron"]


async def test_a_late_event_does_not_undo_a_newer_one(school: School) -> None:
    ada = await school.student("Newer", version=3)
    anne = await school.guardian(given_name="Newer", version=3)
    link_id = await school.link(anne, ada, relation="mother", version=3)
    class_id = await school.school_class(member(ada), version=3)

    await school.student("Older", student_id=ada, version=2)
    await school.guardian(given_name="Older", guardian_id=anne, version=2)
    await school.link(anne, ada, link_id=link_id, relation="neighbour", is_active=False, version=2)
    await school.school_class(class_id=class_id, is_active=False, version=2)
    await school.named(version=1, time_zone="Pacific/Kiritimati")

    (contact,) = await school.contacts(class_id)
    assert contact["given_name"] == "Newer"
    assert [(each["name"], each["relation"]) for each in contact["guardians"]] == [("Newer Byron", "mother")]


async def test_a_newer_event_replaces_what_was_known(school: School) -> None:
    ada, byron = await school.student(), await school.student("Byron")
    anne = await school.guardian()
    link_id = await school.link(anne, ada)
    class_id = await school.school_class(member(ada))

    await school.guardian(given_name="Annabella", guardian_id=anne, email=None, version=2)
    await school.link(anne, byron, link_id=link_id, relation="guardian", priority=4, version=2)
    await school.school_class(member(byron), class_id=class_id, version=2)

    (contact,) = await school.contacts(class_id)
    assert contact["given_name"] == "Byron"
    assert contact["guardians"] == [
        {
            "guardian_id": str(anne),
            "name": "Annabella Byron",
            "email": None,
            "relation": "guardian",
            "priority": 4,
        }
    ]


async def test_the_same_event_again_changes_nothing(school: School) -> None:
    ada, event_id = new_id(), new_id()
    event = StudentChanged(student_id=ada, given_name="Ada", family_name="Lovelace", is_active=True)
    class_id = await school.school_class(member(ada))

    outcomes = [await deliver(school.worker, event, school_id=school.school_id, event_id=event_id) for _ in range(2)]

    assert outcomes == [Outcome.DONE, Outcome.DONE]
    assert await school.names(class_id) == ["Ada"]


async def test_a_class_without_members_is_empty(school: School) -> None:
    class_id = await school.school_class(member(await school.student()))

    await school.school_class(class_id=class_id, version=2)

    assert await school.contacts(class_id) == []
