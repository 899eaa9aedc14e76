"""What each role is shown of its school's day."""

from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.school.tests.days import (
    TIME_ZONE,
    SchoolDay,
    Taught,
    a_class,
    lesson,
    link,
    local,
    mail,
    marked,
    member,
    plan,
    report,
    saved,
    student,
    teacher,
)
from services.school.tests.factories import House
from shared import clock
from shared.identity import Role
from shared.ids import new_id

NOTHING = {
    "people": {"students": 0, "teachers": 0, "classes": 0},
    "attendance": {"present": 0, "absent": 0, "late": 0, "excused": 0, "unmarked": 0},
    "registers": {"lessons": 0, "saved": 0, "incomplete": 0, "missing": 0, "to_come": 0, "not_needed": 0},
    "unreached": {"guardians": 0, "students": []},
    "pending": {"leave": 0, "absences": 0},
}
ROLES = (Role.SCHOOL_ADMIN, Role.TEACHER, Role.GUARDIAN, Role.STUDENT)


async def test_a_school_of_which_nothing_was_told_has_a_day_of_zeros(day: SchoolDay) -> None:
    shown = await day.shown(Role.SCHOOL_ADMIN)

    assert shown == {
        "day": str(day.today),
        "time_zone": TIME_ZONE,
        "holiday": None,
        "special_day": None,
        "turn": None,
        "grade_days": [],
        "office": NOTHING,
        "lessons": None,
        "students": None,
        "unread_messages": 0,
    }
    assert await day.lessons(new_id()) == []
    assert await day.children(new_id()) == []


async def test_the_office_sees_who_is_there(day: SchoolDay, taught: Taught) -> None:
    gone = new_id()
    await day.hear(
        student(gone, is_active=False), teacher(new_id(), is_active=False), a_class(new_id(), is_active=False)
    )

    assert (await day.office())["people"] == {"students": 2, "teachers": 1, "classes": 1}


async def test_the_office_sees_the_attendance_of_the_day(day: SchoolDay, taught: Taught) -> None:
    at_home = new_id()
    await day.hear(
        student(at_home), plan(day.today, lesson(taught.class_id)), marked(day.after(-1), taught.ada, "absent")
    )
    assert (await day.office())["attendance"] == NOTHING["attendance"] | {"unmarked": 2}

    await day.hear(marked(day.today, taught.ada, "late"))
    assert (await day.office())["attendance"] == NOTHING["attendance"] | {"late": 1, "unmarked": 1}

    await day.hear(marked(day.today, taught.ada, "excused"), marked(day.today, taught.ben, "present"), version=2)
    assert (await day.office())["attendance"] == NOTHING["attendance"] | {"excused": 1, "present": 1}


async def test_who_left_is_not_counted(day: SchoolDay, taught: Taught) -> None:
    await day.hear(plan(day.today, lesson(taught.class_id)), marked(day.today, taught.ada, "absent"))

    await day.hear(student(taught.ada, is_active=False), version=2)

    assert (await day.office())["attendance"] == NOTHING["attendance"] | {"unmarked": 1}


async def test_the_office_sees_what_became_of_registers(day: SchoolDay, taught: Taught) -> None:
    empty = new_id()
    done = lesson(taught.class_id, begins_in=-120)
    await day.hear(
        a_class(empty, member(taught.tess, "teacher"), member(taught.ada, ends_on=day.after(-1))),
        plan(
            day.today,
            done,
            lesson(taught.class_id, begins_in=-60),
            lesson(taught.class_id, begins_in=-50, is_cancelled=True),
            lesson(empty, begins_in=-60),
            lesson(taught.class_id, begins_in=60),
        ),
        saved(day.today, done.lesson_id, present=2),
    )

    registers = (await day.office())["registers"]

    assert registers == {"lessons": 4, "saved": 1, "incomplete": 0, "missing": 1, "to_come": 1, "not_needed": 1}


async def test_the_office_sees_whom_no_mail_reached(day: SchoolDay, taught: Taught) -> None:
    other = new_id()
    again = mail(day.today, taught.ada, other, "failed")
    await day.hear(
        mail(day.today, taught.ada, taught.anne, "failed"),
        mail(day.today, taught.ben, taught.anne, "failed"),
        mail(day.today, taught.ben, None, "unreachable"),
        again,
        mail(day.today, taught.ada, other, "sent"),
        mail(day.after(-1), taught.ben, new_id(), "failed"),
        mail(day.today, taught.ben, new_id(), "failed", category="announcement"),
        mail(day.today, taught.ben, new_id(), "cancelled"),
    )

    unreached = (await day.office())["unreached"]

    assert unreached["guardians"] == 1
    assert [(each["given_name"], each["guardians"]) for each in unreached["students"]] == [("Ada", 1), ("Ben", 1)]
    assert {UUID(each["student_id"]) for each in unreached["students"]} == {taught.ada, taught.ben}


async def test_a_student_with_nobody_to_write_to_is_among_them(day: SchoolDay, taught: Taught) -> None:
    await day.hear(mail(day.today, taught.ben, None, "unreachable"))

    unreached = (await day.office())["unreached"]

    assert unreached["guardians"] == 0
    assert [(each["given_name"], each["guardians"]) for each in unreached["students"]] == [("Ben", 0)]


async def test_who_was_found_later_was_reached(day: SchoolDay, taught: Taught) -> None:
    await day.hear(mail(day.today, taught.ben, None, "unreachable"), mail(day.today, taught.ben, taught.anne, "failed"))
    assert [each["guardians"] for each in (await day.office())["unreached"]["students"]] == [1]

    await day.hear(mail(day.today, taught.ben, new_id(), "sent"))
    assert [each["guardians"] for each in (await day.office())["unreached"]["students"]] == [1]

    await day.hear(mail(day.today, taught.ben, taught.anne, "sent"))
    assert (await day.office())["unreached"] == NOTHING["unreached"]


@pytest.mark.parametrize("status", ["present", "excused", "absent", "unmarked"])
async def test_whose_absence_is_explained_by_now_needs_no_mail(day: SchoolDay, taught: Taught, status: str) -> None:
    await day.hear(
        marked(day.today, taught.ada, "absent", is_unexplained_absence=True),
        mail(day.today, taught.ada, taught.anne, "failed"),
        mail(day.today, taught.ada, None, "unreachable"),
    )
    assert (await day.office())["unreached"]["guardians"] == 1

    await day.hear(marked(day.today, taught.ada, status), version=2)
    assert (await day.office())["unreached"] == NOTHING["unreached"]

    await day.hear(marked(day.today, taught.ada, "absent", is_unexplained_absence=True), version=3)
    assert (await day.office())["unreached"]["guardians"] == 1


async def test_the_office_sees_what_waits_for_it(day: SchoolDay, taught: Taught) -> None:
    asked = report(taught.ada, day.after(3), day.after(4))
    await day.hear(
        asked,
        report(taught.ben, day.after(-2), day.today),
        report(taught.ben, day.after(-2), day.after(-1)),
        report(taught.ada, day.today, day.today, kind="absence"),
        report(taught.ada, day.today, day.today, state="accepted"),
    )
    assert (await day.office())["pending"] == {"leave": 2, "absences": 1}

    refused = report(taught.ada, day.after(3), day.after(4), state="refused", absence_report_id=asked.absence_report_id)
    await day.hear(refused, version=2)
    assert (await day.office())["pending"] == {"leave": 1, "absences": 1}


async def test_a_teacher_sees_their_lessons_those_without_a_register_first(day: SchoolDay, taught: Taught) -> None:
    done, open_, to_come = (lesson(taught.class_id, taught.tess, begins_in=each) for each in (-120, -60, 60))
    off = lesson(taught.class_id, taught.tess, begins_in=-240, is_cancelled=True)
    others = lesson(taught.class_id, new_id(), begins_in=-60)
    await day.hear(plan(day.today, off, done, open_, others, to_come), saved(day.today, done.lesson_id, present=2))

    lessons = await day.lessons(taught.tess)

    assert [(UUID(each["lesson_id"]), each["register"]) for each in lessons] == [
        (open_.lesson_id, "missing"),
        (off.lesson_id, "not_needed"),
        (done.lesson_id, "saved"),
        (to_come.lesson_id, "to_come"),
    ]
    assert [each["students"] for each in lessons] == [2] * 4
    starts_at = local(lessons[0]["starts_at"])
    assert starts_at == open_.starts_at
    assert starts_at.utcoffset() == open_.starts_at.astimezone(ZoneInfo(TIME_ZONE)).utcoffset()


async def test_a_register_that_leaves_somebody_out_is_incomplete_until_they_are_in_it_or_gone(
    day: SchoolDay, taught: Taught
) -> None:
    partial, whole = (lesson(taught.class_id, taught.tess, begins_in=each) for each in (-60, -120))
    await day.hear(
        plan(day.today, partial, whole),
        saved(day.today, whole.lesson_id, taught.ada, taught.ben, present=2),
        saved(day.today, partial.lesson_id, taught.ada, present=1),
    )
    assert [each["register"] for each in await day.lessons(taught.tess)] == ["incomplete", "saved"]
    assert (await day.office())["registers"] == NOTHING["registers"] | {"lessons": 2, "saved": 1, "incomplete": 1}

    cleo = new_id()
    everybody = [member(taught.tess, "teacher"), *map(member, (taught.ada, taught.ben, cleo))]
    await day.hear(student(cleo, "Cleo"), a_class(taught.class_id, *everybody), version=2)
    assert [each["register"] for each in await day.lessons(taught.tess)] == ["incomplete", "incomplete"]

    both = [
        saved(day.today, whole.lesson_id, taught.ada, taught.ben, cleo, present=3),
        saved(day.today, partial.lesson_id, taught.ada, cleo, present=2),
    ]
    await day.hear(*both, version=2)
    assert [each["register"] for each in await day.lessons(taught.tess)] == ["incomplete", "saved"]

    await day.hear(a_class(taught.class_id, *everybody[:2], everybody[3]), version=3)
    assert [each["register"] for each in await day.lessons(taught.tess)] == ["saved", "saved"]
    assert (await day.office())["registers"] == NOTHING["registers"] | {"lessons": 2, "saved": 2}


async def test_a_guardian_sees_each_child(day: SchoolDay, taught: Taught) -> None:
    first, second = lesson(taught.class_id), lesson(taught.class_id, begins_in=60)
    await day.hear(
        link(taught.anne, taught.ben),
        plan(day.today, second, first),
        marked(day.today, taught.ada, "late"),
        report(taught.ben, day.after(-1), day.after(1), kind="absence", state="accepted"),
        report(taught.ben, day.after(1), day.after(1)),
        report(taught.ben, day.today, day.today, state="withdrawn"),
    )

    ada, ben = await day.children(taught.anne)

    assert (ada["given_name"], ada["status"], ada["reports"]) == ("Ada", "late", [])
    assert [UUID(each["lesson_id"]) for each in ada["lessons"]] == [first.lesson_id, second.lesson_id]
    assert (ben["given_name"], ben["status"], len(ben["lessons"])) == ("Ben", "unmarked", 2)
    assert [(each["kind"], each["state"]) for each in ben["reports"]] == [("absence", "accepted")]


async def test_a_guardian_sees_no_child_of_others(day: SchoolDay, taught: Taught) -> None:
    assert [each["given_name"] for each in await day.children(taught.anne)] == ["Ada"]
    assert await day.children(new_id()) == []


@pytest.mark.parametrize(
    "terms",
    [{"is_active": False}, {"may_see": False}, {"ends": -1}, {"begins": 1}],
    ids=["removed", "may no longer see", "ended yesterday", "begins tomorrow"],
)
async def test_a_child_is_gone_at_the_next_request(day: SchoolDay, terms: dict[str, int]) -> None:
    ada, anne, link_id = new_id(), new_id(), new_id()
    await day.hear(student(ada), link(anne, ada, link_id=link_id))
    assert [each["given_name"] for each in await day.children(anne)] == ["Ada"]

    told = {{"ends": "ends_on", "begins": "starts_on"}.get(name, name): value for name, value in terms.items()}
    changed = {name: day.after(value) if name.endswith("_on") else bool(value) for name, value in told.items()}
    await day.hear(link(anne, ada, link_id=link_id, **changed), version=2)

    assert await day.children(anne) == []


async def test_a_student_sees_themselves(day: SchoolDay, taught: Taught) -> None:
    await day.hear(plan(day.today, lesson(taught.class_id)), marked(day.today, taught.ada, "present"))

    shown = await day.shown(Role.STUDENT, taught.ada)

    assert [(each["given_name"], each["status"], len(each["lessons"])) for each in shown["students"]] == [
        ("Ada", "present", 1)
    ]
    assert (shown["office"], shown["lessons"]) == (None, None)


async def test_a_spell_that_ended_brings_no_lessons(day: SchoolDay, taught: Taught) -> None:
    await day.hear(plan(day.today, lesson(taught.class_id)))
    await day.hear(a_class(taught.class_id, member(taught.ada, ends_on=day.after(-1)), member(taught.ben)), version=2)

    assert [each["lessons"] for each in await day.children(taught.anne)] == [[]]


async def test_a_holiday_shows_no_lessons(day: SchoolDay, taught: Taught) -> None:
    await day.hear(plan(day.today, lesson(taught.class_id, taught.tess)))
    await day.holiday("Labor Day")

    shown = await day.shown(Role.SCHOOL_ADMIN)

    assert shown["holiday"] == "Labor Day"
    assert shown["office"]["registers"] == NOTHING["registers"]
    assert shown["office"]["attendance"]["unmarked"] == 0
    assert await day.lessons(taught.tess) == []
    assert (await day.children(taught.anne))[0]["lessons"] == []


@pytest.mark.parametrize("role", ROLES)
async def test_everybody_is_told_which_grades_have_another_day(day: SchoolDay, taught: Taught, role: str) -> None:
    await day.grade_days({"grades": ["12", "07"], "kind": "special", "title": "Exams"})
    whose: dict[str, UUID] = {Role.TEACHER: taught.tess, Role.GUARDIAN: taught.anne, Role.STUDENT: taught.ada}

    shown = await day.shown(role, whose.get(role))

    assert shown["grade_days"] == [{"kind": "special", "title": "Exams", "grade": grade} for grade in ("07", "12")]
    assert (shown["holiday"], shown["special_day"]) == (None, None)


@pytest.mark.parametrize("is_holiday", [False, True])
@pytest.mark.parametrize("is_on_holiday", [False, True, None])
async def test_a_lesson_meets_as_its_class_has_the_day(
    day: SchoolDay, taught: Taught, is_holiday: bool, is_on_holiday: bool | None
) -> None:
    """What was told before there were days of grades goes by the school's day."""
    meets = not (is_holiday if is_on_holiday is None else is_on_holiday)
    await day.hear(plan(day.today, lesson(taught.class_id, taught.tess, is_on_holiday=is_on_holiday)))
    if is_holiday:
        await day.holiday()

    office = await day.office()

    assert (office["registers"]["missing"], office["attendance"]["unmarked"]) == ((1, 2) if meets else (0, 0))
    assert len(await day.lessons(taught.tess)) == meets
    assert len((await day.children(taught.anne))[0]["lessons"]) == meets


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_today_is_the_schools_own(day: SchoolDay, taught: Taught, zone: str) -> None:
    """They are 25 hours apart: never the same day."""
    version = (await day.school.get("/school"))["version"]
    changed = await day.school.send("PATCH", "/school", {"version": version, "time_zone": zone})
    assert changed.status_code == 200, changed.text
    there = clock.school_day(clock.now(), zone)
    other = there + timedelta(days=1 if zone.endswith("Pago") else -1)
    await day.hear(plan(other, lesson(taught.class_id, taught.tess)), marked(other, taught.ada, "absent"))
    assert (await day.shown(Role.SCHOOL_ADMIN))["day"] == str(there)
    assert await day.lessons(taught.tess) == []

    await day.hear(plan(there, lesson(taught.class_id, taught.tess)), marked(there, taught.ada, "present"))

    assert len(await day.lessons(taught.tess)) == 1
    assert (await day.office())["attendance"] == NOTHING["attendance"] | {"present": 1, "unmarked": 1}


async def test_another_school_shows_nothing_of_this_one(day: SchoolDay, taught: Taught, house: House) -> None:
    await day.hear(
        plan(day.today, lesson(taught.class_id, taught.tess)),
        marked(day.today, taught.ada, "absent"),
        mail(day.today, taught.ada, taught.anne, "failed"),
        report(taught.ada, day.today, day.today),
    )
    elsewhere = SchoolDay(await house.school("Another"), day.worker)

    assert await elsewhere.office() == NOTHING
    assert await elsewhere.lessons(taught.tess) == []
    assert await elsewhere.children(taught.anne) == []
    assert (await elsewhere.shown(Role.STUDENT, taught.ada))["students"] == []


async def test_a_school_that_is_not_here_is_not_found(day: SchoolDay) -> None:
    for role in ROLES:
        assert (await day.asked(role, new_id(), school_id=new_id())).status_code == 404


async def test_nobody_and_who_belongs_to_no_school_are_refused(day: SchoolDay, house: House) -> None:
    assert (await house.client.get("/api/v1/today")).status_code == 401
    answer = await house.client.get("/api/v1/today", headers=house.tokens.headers(Role.PLATFORM_ADMIN))
    assert answer.status_code == 403
    assert (await day.asked(Role.PLATFORM_ADMIN)).status_code == 403


@pytest.mark.parametrize("role", [Role.TEACHER, Role.GUARDIAN, Role.STUDENT])
async def test_a_login_without_a_person_has_no_day(day: SchoolDay, role: str) -> None:
    assert (await day.asked(role, None)).status_code == 403
