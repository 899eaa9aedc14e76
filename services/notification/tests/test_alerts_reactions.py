"""From a mark in a register to what guardians hear of it."""

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.notification.alerts.actions import measure_overdue
from services.notification.inbox.live import Announcer
from services.notification.settings import Settings
from services.notification.tests.factories import MAKE_DUE, School, a_school, days_ago
from shared import clock
from shared.database import Database
from shared.ids import new_id
from shared.worker import Worker

ALERT, CORRECTION = "absence_alert", "absence_correction"


async def test_each_guardian_hears_of_an_absence_once_when_the_grace_period_is_over(school: School) -> None:
    ada = await school.student("Ada")
    mother, father = await school.guardian(ada), await school.guardian(ada)

    await school.mark(ada, absent=True, lessons=("Maths", "English"))
    await school.look()
    assert await school.told() == []

    await school.grace_ends()
    await school.grace_ends()

    assert sorted(await school.told()) == sorted([(mother, ALERT), (father, ALERT)])
    first = (await school.notified())[0]
    assert first.title == "Ada was marked absent"
    assert "(Maths, English)" in first.body
    assert await school.state(ada) == "sent"


async def test_how_late_guardians_heard_is_measured(school: School) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("homeroom_alert_lateness_seconds_count") or 0

    ada = await school.student()
    await school.guardian(ada)
    before = counted()
    await school.mark(ada, absent=True)
    await school.grace_ends()

    assert counted() == before + 1


async def test_an_alert_that_nobody_tells_is_seen_to_wait(school: School) -> None:
    """What never goes out has no lateness; an operator must hear of it all the same."""
    ada = await school.student()
    await school.guardian(ada)
    await school.mark(ada, absent=True)
    async with school.database.transaction(school_id=school.school_id) as tx:
        await tx.execute(MAKE_DUE, now=clock.now() - timedelta(minutes=10), school_id=school.school_id)

    await measure_overdue(school.database)
    waiting = REGISTRY.get_sample_value("homeroom_alert_overdue_seconds") or 0
    await school.grace_ends()
    await measure_overdue(school.database)

    assert waiting >= 600
    assert (REGISTRY.get_sample_value("homeroom_alert_overdue_seconds") or 0) < waiting


async def test_an_absence_that_is_explained_within_the_grace_period_is_not_told(school: School) -> None:
    ada = await school.student()
    await school.guardian(ada)

    await school.mark(ada, absent=True)
    await school.mark(ada, absent=False)
    await school.grace_ends()

    assert await school.told() == []
    assert await school.deliveries() == []
    assert await school.state(ada) == "none"


async def test_a_correction_goes_once_to_exactly_those_who_were_told(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.mark(ada, absent=True)
    await school.grace_ends()
    await school.guardian(ada)

    await school.mark(ada, absent=False)
    await school.mark(ada, absent=False)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT), (mother, CORRECTION)]


@pytest.mark.parametrize(
    ("status", "title", "blames"),
    [
        ("present", "Ada: absence corrected", True),
        ("late", "Ada: absence corrected", True),
        ("unmarked", "Ada: absence corrected", True),
        ("excused", "Ada: absence explained", False),
        ("absent", "Ada: absence explained", False),
    ],
)
async def test_a_correction_says_that_the_register_was_corrected_only_when_it_was(
    school: School, status: Any, title: str, blames: bool
) -> None:
    ada = await school.student("Ada")
    await school.guardian(ada)
    await school.mark(ada, absent=True)
    await school.grace_ends()

    await school.mark(ada, absent=False, status=status)

    _, correction = await school.notified()
    assert (correction.category, correction.title) == (CORRECTION, title)
    assert ("corrected its register" in correction.body) is blames


@pytest.mark.parametrize(
    ("explained", "status", "title"),
    [
        (["Maths"], "present", "Ada: absence explained"),
        (["Maths", "Art"], "excused", "Ada: absence explained"),
        ([], "present", "Ada: absence corrected"),
        (["Art"], "excused", "Ada: absence corrected"),
    ],
)
async def test_a_correction_speaks_of_the_lessons_that_were_told_of(
    school: School, explained: list[str], status: Any, title: str
) -> None:
    """Whatever the rest of the day amounts to."""
    ada = await school.student("Ada")
    await school.guardian(ada)
    await school.mark(ada, absent=True, status="present", lessons=("Maths",), explained=[])
    await school.grace_ends()

    await school.mark(ada, absent=False, status=status, explained=explained)

    assert [each.title for each in await school.notified()][1:] == [title]


async def test_an_absence_after_the_correction_is_told_as_another(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    for absent in (True, False, True, False):
        await school.mark(ada, absent=absent)
        await school.grace_ends()

    assert await school.told() == [(mother, ALERT), (mother, CORRECTION)] * 2


async def test_a_second_lesson_missed_on_the_same_day_is_not_told_again(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.mark(ada, absent=True)
    await school.grace_ends()

    await school.mark(ada, absent=True, lessons=("Maths", "English"))
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_the_same_event_again_changes_nothing(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    event_id = new_id()
    await school.mark(ada, absent=True, event_id=event_id, version=1)
    await school.grace_ends()

    await school.mark(ada, absent=True, event_id=event_id, version=1)
    await school.mark(ada, absent=True, version=1)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_a_late_event_does_not_undo_a_newer_one(school: School) -> None:
    ada = await school.student()
    await school.guardian(ada)

    await school.mark(ada, absent=False, version=2)
    await school.mark(ada, absent=True, version=1)
    await school.grace_ends()

    assert await school.told() == []


async def test_nobody_is_alerted_about_their_own_action(school: School) -> None:
    ada = await school.student()
    teacher_and_mother, father = await school.guardian(ada), await school.guardian(ada)
    await school.login(teacher_and_mother, user_id=school.teacher_login)

    await school.mark(ada, absent=True, by=school.teacher_login)
    await school.grace_ends()

    assert await school.told() == [(father, ALERT)]


async def test_a_teacher_hears_of_their_own_child_from_a_colleague(school: School) -> None:
    ada = await school.student()
    teacher_and_mother = await school.guardian(ada)
    await school.login(teacher_and_mother, user_id=school.teacher_login)

    await school.mark(ada, absent=True, by=new_id())
    await school.grace_ends()

    assert await school.told() == [(teacher_and_mother, ALERT)]


async def test_who_explains_one_lesson_is_alerted_of_another(school: School) -> None:
    """A report changes the day; the absence that is left was marked by a teacher."""
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.login(mother, user_id=(login := new_id()))
    await school.mark(ada, absent=True, lessons=("Maths", "Art"), marked_by=[school.teacher_login])

    await school.mark(ada, absent=True, lessons=("Art",), by=login, marked_by=[school.teacher_login])
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_who_takes_a_report_back_is_alerted(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.login(mother, user_id=(login := new_id()))
    await school.mark(ada, absent=False, status="excused", by=login, marked_by=[])

    await school.mark(ada, absent=True, by=login, marked_by=[school.teacher_login])
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_who_made_one_of_several_marks_is_alerted_of_the_others(school: School) -> None:
    ada = await school.student()
    teacher_and_mother = await school.guardian(ada)
    await school.login(teacher_and_mother, user_id=school.teacher_login)

    await school.mark(ada, absent=True, lessons=("Maths", "Art"), marked_by=[new_id(), school.teacher_login])
    await school.grace_ends()

    assert await school.told() == [(teacher_and_mother, ALERT)]


async def test_nobody_is_alerted_about_their_own_mark_whoever_changed_the_day_since(school: School) -> None:
    ada = await school.student()
    teacher_and_mother = await school.guardian(ada)
    await school.login(teacher_and_mother, user_id=school.teacher_login)

    await school.mark(ada, absent=True, by=new_id(), marked_by=[school.teacher_login])
    await school.grace_ends()

    assert await school.told() == []


async def test_a_guardian_of_two_hears_of_each_child(school: School) -> None:
    ada, byron = await school.student("Ada"), await school.student("Byron")
    mother = await school.guardian(ada, byron)

    await school.mark(ada, absent=True)
    await school.mark(byron, absent=True)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT), (mother, ALERT)]
    assert {each.title for each in await school.notified()} == {"Ada was marked absent", "Byron was marked absent"}


async def test_a_guardian_who_is_linked_twice_is_told_once(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.link(mother, ada, guardian_link_id=new_id(), relation="carer")

    await school.mark(ada, absent=True)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_only_links_in_force_that_receive_alerts_count(school: School) -> None:
    ada = await school.student()
    today = school.today
    first_day = await school.guardian(ada, starts_on=today)
    last_day = await school.guardian(ada, ends_on=today)
    await school.guardian(ada, receives_alerts=False)
    await school.guardian(ada, starts_on=today + timedelta(days=1))
    await school.guardian(ada, ends_on=days_ago(school, 1))
    await school.guardian(ada, is_active=False)

    await school.mark(ada, absent=True)
    await school.grace_ends()

    assert sorted(await school.told()) == sorted([(first_day, ALERT), (last_day, ALERT)])


async def test_an_absence_without_anybody_to_tell_is_on_record(school: School) -> None:
    ada = await school.student()
    await school.guardian(ada, receives_alerts=False)

    await school.mark(ada, absent=True)
    await school.grace_ends()

    assert await school.state(ada) == "withheld: nobody_to_tell"


async def test_a_register_that_is_filled_in_days_later_wakes_nobody(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)

    await school.mark(ada, absent=True, day=days_ago(school, 5))
    await school.mark(ada, absent=True, day=days_ago(school, 1))
    await school.grace_ends()

    assert await school.state(ada, days_ago(school, 5)) == "withheld: too_late"
    assert await school.told() == [(mother, ALERT)]


async def test_a_school_that_is_not_yet_known_loses_no_absence(
    worker: Worker, settings: Settings, database: Database, announcer: Announcer
) -> None:
    unknown = School(worker, settings, database, announcer)
    child = await unknown.student()
    guardian = await unknown.guardian(child)

    await unknown.mark(child, absent=True)
    await unknown.grace_ends()

    assert await unknown.told() == [(guardian, ALERT)]


async def test_the_school_that_cannot_be_told_does_not_hold_up_the_others(
    school: School, worker: Worker, settings: Settings, database: Database, announcer: Announcer
) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    broken = School(worker, settings, database, announcer)
    child = await broken.student("Broken")
    await broken.guardian(child)
    await broken.mark(child, absent=True)
    async with database.transaction(school_id=broken.school_id) as tx:
        await tx.execute(
            "UPDATE absence_alert SET lessons = NULL::text[] || ARRAY[NULL]::text[] WHERE school_id = %(school_id)s",
            school_id=broken.school_id,
        )
    await school.mark(ada, absent=True)

    await broken.grace_ends()
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]
    assert await broken.told() == []


async def test_one_alert_at_fault_does_not_hold_up_its_own_school(school: School) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    await school.guardian(ada)
    bens = await school.guardian(ben)
    await school.mark(ada, absent=True)
    await school.mark(ben, absent=True)
    async with school.database.transaction(school_id=school.school_id) as tx:
        await tx.execute(
            "UPDATE absence_alert SET lessons = ARRAY[NULL]::text[] "
            "WHERE school_id = %(school_id)s AND student_id = %(ada)s",
            school_id=school.school_id,
            ada=ada,
        )

    def postponed() -> float:
        return REGISTRY.get_sample_value("homeroom_alerts_postponed_total") or 0

    before = postponed()

    await school.grace_ends()

    assert await school.told() == [(bens, ALERT)]
    assert await school.state(ada) == "pending"
    assert postponed() == before + 1


async def test_who_may_not_see_a_child_is_not_told_of_it(school: School) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await school.guardian(ada, may_see=False)

    await school.mark(ada, absent=True)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]
    assert [each.recipient_person_id for each in await school.deliveries()] == [mother]


async def test_a_guardian_whose_link_has_ended_since_hears_nothing_of_the_days_before(school: School) -> None:
    ada = await school.student()
    yesterday = days_ago(school, 1)
    mother = await school.guardian(ada, starts_on=yesterday)
    await school.guardian(ada, ends_on=yesterday)

    await school.mark(ada, absent=True, day=yesterday)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_a_guardian_who_was_unlinked_within_the_grace_period_is_not_told(school: School) -> None:
    ada = await school.student()
    mother, father = await school.guardian(ada), await school.guardian(ada)
    await school.mark(ada, absent=True)

    await school.link(father, ada, is_active=False)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_a_guardian_who_is_linked_later_hears_of_the_next_lesson_that_is_missed(school: School) -> None:
    ada = await school.student()
    await school.mark(ada, absent=True)
    await school.grace_ends()
    mother = await school.guardian(ada)

    await school.mark(ada, absent=True, lessons=("Maths", "English"))
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]


async def test_the_same_guardian_at_two_schools_hears_from_each_of_its_own_child(
    school: School, worker: Worker, settings: Settings, database: Database, announcer: Announcer
) -> None:
    other = await a_school(worker, settings, database, announcer)
    ada, ben = await school.student("Ada"), await other.student("Ben")
    here, there = await school.guardian(ada), await other.guardian(ben)
    login = new_id()
    await school.login(here, user_id=login)
    await other.login(there, user_id=login)

    await school.mark(ada, absent=True)
    await other.mark(ben, absent=True, by=login)
    await school.grace_ends()
    await other.grace_ends()

    assert await school.told() == [(here, ALERT)]
    assert await other.told() == []


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
async def test_events_in_any_order_lead_to_what_the_newest_says(school: School, order: tuple[int, ...]) -> None:
    explained, missed = await school.student("Ada"), await school.student("Ben")
    await school.guardian(explained)
    mother = await school.guardian(missed)

    for version in (*order, *order):
        await school.mark(explained, absent=version != 3, version=version)
        await school.mark(missed, absent=version != 2, version=version)
    await school.grace_ends()

    assert await school.told() == [(mother, ALERT)]
    assert [await school.state(explained), await school.state(missed)] == ["none", "sent"]


async def test_a_released_alert_and_its_correction_at_once_leave_no_alert_alone(school: School) -> None:
    students = [await school.student() for _ in range(8)]
    for ada in students:
        await school.guardian(ada)
        await school.mark(ada, absent=True)

    await school.grace_is_over()

    await asyncio.gather(school.look(), *(school.mark(ada, absent=False) for ada in students))
    await school.grace_ends()

    told = await school.told()
    assert Counter(who for who, what in told if what == ALERT) == Counter(
        who for who, what in told if what == CORRECTION
    )
