"""How much there is to read for the staff of a school."""

from datetime import timedelta
from uuid import UUID

import pytest

from services.school.tests.days import SchoolDay, announced, read, sent
from services.school.tests.factories import House
from shared import clock
from shared.identity import Role
from shared.ids import new_id


@pytest.fixture
def tess() -> UUID:
    return new_id()


async def a_message(day: SchoolDay, *recipients: tuple[str, UUID]) -> UUID:
    announcement_id = new_id()
    await day.hear(sent(announcement_id, *recipients), announced(announcement_id))
    return announcement_id


async def test_a_teacher_sees_how_many_messages_are_unread(day: SchoolDay, tess: UUID) -> None:
    assert await day.unread(Role.TEACHER, tess) == 0

    first = await a_message(day, (Role.TEACHER, tess), (Role.TEACHER, new_id()), (Role.GUARDIAN, new_id()))
    await a_message(day, (Role.TEACHER, tess))
    assert await day.unread(Role.TEACHER, tess) == 2

    await day.hear(read(first, tess))
    assert await day.unread(Role.TEACHER, tess) == 1


async def test_each_of_the_office_sees_their_own(day: SchoolDay) -> None:
    """Their counts of the day are the same; what they have read is not."""
    ann, bob = new_id(), new_id()
    announcement_id = await a_message(day, (Role.SCHOOL_ADMIN, ann), (Role.SCHOOL_ADMIN, bob))

    await day.hear(read(announcement_id, ann, Role.SCHOOL_ADMIN))

    assert await day.unread(Role.SCHOOL_ADMIN, user_id=ann) == 0
    assert await day.unread(Role.SCHOOL_ADMIN, user_id=bob) == 1


async def test_who_works_in_the_office_and_teaches_reads_as_who_they_are_asked_as(day: SchoolDay, tess: UUID) -> None:
    await a_message(day, (Role.TEACHER, tess))

    assert await day.unread(Role.SCHOOL_ADMIN, tess) == 0
    assert await day.unread(Role.TEACHER, tess) == 1


async def test_a_withdrawn_one_is_not_to_be_read(day: SchoolDay, tess: UUID) -> None:
    announcement_id = await a_message(day, (Role.TEACHER, tess))

    await day.hear(announced(announcement_id, is_withdrawn=True), version=2)

    assert await day.unread(Role.TEACHER, tess) == 0


async def test_one_expires_by_the_clock_alone(day: SchoolDay, tess: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    announcement_id, at = await a_message(day, (Role.TEACHER, tess)), clock.now() + timedelta(seconds=20)
    await day.hear(announced(announcement_id, expires_at=at), version=2)
    assert await day.unread(Role.TEACHER, tess) == 1

    monkeypatch.setattr(clock, "now", lambda: at)
    assert await day.unread(Role.TEACHER, tess) == 0

    await day.hear(announced(announcement_id, expires_at=at + timedelta(hours=1)), version=3)
    assert await day.unread(Role.TEACHER, tess) == 1


async def test_an_edit_that_was_told_is_to_be_read_again(day: SchoolDay, tess: UUID) -> None:
    announcement_id = await a_message(day, (Role.TEACHER, tess))
    await day.hear(read(announcement_id, tess))

    await day.hear(announced(announcement_id, edition=2), version=2)
    assert await day.unread(Role.TEACHER, tess) == 1

    await day.hear(sent(announcement_id, (Role.TEACHER, tess), edition=2), read(announcement_id, tess, edition=2))
    assert await day.unread(Role.TEACHER, tess) == 0


async def test_whoever_is_told_of_before_the_announcement_counts_it_once_it_is_known(
    day: SchoolDay, tess: UUID
) -> None:
    announcement_id = new_id()
    await day.hear(sent(announcement_id, (Role.TEACHER, tess)))
    assert await day.unread(Role.TEACHER, tess) == 0

    await day.hear(announced(announcement_id))

    assert await day.unread(Role.TEACHER, tess) == 1


async def test_a_part_that_comes_after_its_reading_is_read(day: SchoolDay, tess: UUID) -> None:
    announcement_id = new_id()
    await day.hear(read(announcement_id, tess), announced(announcement_id))

    await day.hear(sent(announcement_id, (Role.TEACHER, tess)))

    assert await day.unread(Role.TEACHER, tess) == 0


async def test_families_are_told_by_their_inbox_alone(day: SchoolDay) -> None:
    anne = new_id()
    await a_message(day, (Role.GUARDIAN, anne), (Role.STUDENT, anne))

    assert await day.unread(Role.GUARDIAN, anne) is None
    assert await day.unread(Role.STUDENT, anne) is None


async def test_another_school_has_its_own(day: SchoolDay, house: House, tess: UUID) -> None:
    """Who teaches at two schools is the same person at neither of them; should an id ever meet, so be it."""
    await a_message(day, (Role.TEACHER, tess))
    elsewhere = SchoolDay(await house.school("Another"), day.worker)

    assert await elsewhere.unread(Role.TEACHER, tess) == 0
