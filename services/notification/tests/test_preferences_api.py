"""Preferences and policy: each their own, what is mandatory wins, and what is told follows."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.notification.settings import Settings
from services.notification.tests.factories import School, a_school, days_ago, guardian, somebody
from services.notification.tests.mail_server import MailServer
from services.notification.tests.wishes import Clock
from shared.database import Database
from shared.ids import new_id
from shared.testing.tokens import Tokens
from shared.worker import Worker

OWN, POLICY, INBOX = "/api/v1/notification-preferences", "/api/v1/notification-policy", "/api/v1/inbox"
NONE = {"time_zone": None, "digest_hour": None, "quiet_hours": None, "choices": []}
DEFAULT = {"at_once": ["absences"], "at_least_daily": [], "digest_hour": 17, "alerts_break_quiet_hours": True}
OPERATIONS = [("GET", OWN), ("PUT", OWN), ("GET", POLICY), ("PUT", POLICY)]
BODIES: dict[str, Any] = {OWN: NONE, POLICY: DEFAULT}


class Person:
    """Somebody who is signed in at one school."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers

    async def put(self, path: str, body: Any) -> httpx.Response:
        return await self._client.put(path, json=body, headers=self._headers)

    async def get(self, path: str = OWN) -> Any:
        answer = await self._client.get(path, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def choose(self, *choices: dict[str, Any], **fields: Any) -> Any:
        answer = await self.put(OWN, {"choices": list(choices), **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def titles(self) -> list[str]:
        return [each["title"] for each in (await self.get(INBOX))["items"]]


def choice(frequency: str, *, group: str = "announcements", channel: str = "email", child: UUID | None = None) -> Any:
    own = {} if child is None else {"student_id": str(child)}
    return {"group": group, "channel": channel, "frequency": frequency, **own}


def frequency(found: Any, group: str, channel: str, child: UUID | None = None) -> tuple[str, bool]:
    student_id = str(child) if child else None
    (one,) = [
        each
        for each in found["effective"]
        if (each["group"], each["channel"], each["student_id"]) == (group, channel, student_id)
    ]
    return one["frequency"], one["is_mandatory"]


@pytest.fixture
def sign_in(client: httpx.AsyncClient, tokens: Tokens, school: School) -> Any:
    def as_person(person_id: UUID, *, role: str = "guardian", school_id: UUID | None = None) -> Person:
        who = {"user_id": person_id} if role == "school_admin" else {"person_id": person_id}
        return Person(client, tokens.headers(role, school_id=school_id or school.school_id, **who))

    return as_person


@pytest.fixture
def office(sign_in: Any) -> Person:
    return sign_in(new_id(), role="school_admin")


@pytest.fixture
async def other_school(
    worker: Worker, settings: Settings, database: Database, announcer: Any, school: School
) -> School:
    return await a_school(worker, settings, database, announcer)


# -- Who may.


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_nobody_chooses_without_a_token(client: httpx.AsyncClient, method: str, path: str) -> None:
    assert (await client.request(method, path, json=BODIES[path])).status_code == 401


@pytest.mark.parametrize("role", ["platform_admin", "unknown"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_who_is_told_nothing_has_nothing_to_choose(
    client: httpx.AsyncClient, tokens: Tokens, school: School, method: str, path: str, role: str
) -> None:
    headers = tokens.headers(role, school_id=school.school_id, person_id=new_id())

    assert (await client.request(method, path, json=BODIES[path], headers=headers)).status_code == 403


@pytest.mark.parametrize("role", ["teacher", "student", "guardian"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_only_the_office_makes_the_policy(
    client: httpx.AsyncClient, tokens: Tokens, school: School, method: str, role: str
) -> None:
    headers = tokens.headers(role, school_id=school.school_id, person_id=new_id())

    assert (await client.request(method, POLICY, json=DEFAULT, headers=headers)).status_code == 403


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_a_login_without_a_school_has_nothing_to_choose(
    client: httpx.AsyncClient, tokens: Tokens, method: str, path: str
) -> None:
    headers = tokens.headers("school_admin")

    assert (await client.request(method, path, json=BODIES[path], headers=headers)).status_code == 403


# -- What is shown and saved.


async def test_who_has_chosen_nothing_is_told_everything_at_once(school: School, sign_in: Any) -> None:
    ada = await school.student()
    found = await sign_in(await school.guardian(ada)).get()

    assert {name: found[name] for name in NONE} == NONE
    assert (found["effective_time_zone"], found["effective_digest_hour"]) == ("America/New_York", 17)
    assert {each["frequency"] for each in found["effective"]} == {"at_once"}
    assert frequency(found, "absences", "email") == ("at_once", True)
    assert frequency(found, "announcements", "email", ada) == ("at_once", False)


@pytest.mark.parametrize(
    ("role", "groups"),
    [
        ("guardian", {"absences", "absence_reports", "announcements"}),
        ("teacher", {"registers", "announcements"}),
        ("student", {"announcements"}),
        ("school_admin", {"absence_reports", "registers", "announcements"}),
    ],
)
async def test_each_role_chooses_among_what_it_is_told(sign_in: Any, role: str, groups: set[str]) -> None:
    found = await sign_in(new_id(), role=role).get()

    assert {each["group"] for each in found["effective"]} == groups


async def test_what_was_chosen_is_shown_as_it_was_and_replaced_by_what_is_chosen_next(
    school: School, sign_in: Any
) -> None:
    ada = await school.student()
    mother = sign_in(await school.guardian(ada))
    wanted = {
        "time_zone": "Europe/Berlin",
        "digest_hour": 20,
        "quiet_hours": {"starts_at": "21:30:00", "ends_at": "07:00:00", "days": [1, 5, 7]},
        "choices": [
            {"student_id": None, "group": "announcements", "channel": "email", "frequency": "daily_digest"},
            {"student_id": str(ada), "group": "announcements", "channel": "email", "frequency": "never"},
        ],
    }

    answer = await mother.put(OWN, wanted)
    found = await mother.get()

    assert answer.status_code == 200
    assert answer.json() == found
    assert {name: found[name] for name in NONE} == wanted
    assert (found["effective_time_zone"], found["effective_digest_hour"]) == ("Europe/Berlin", 20)
    assert frequency(found, "announcements", "email") == ("daily_digest", False)
    assert frequency(found, "announcements", "email", ada) == ("never", False)

    await mother.choose()
    assert {name: (await mother.get())[name] for name in NONE} == NONE


async def test_each_has_preferences_of_their_own_at_each_school(
    school: School, sign_in: Any, other_school: School
) -> None:
    person_id = new_id()
    here = sign_in(person_id)

    await here.choose(choice("never"), digest_hour=6)

    assert (await here.get())["digest_hour"] == 6
    for other in (sign_in(new_id()), sign_in(person_id, school_id=other_school.school_id)):
        assert {name: (await other.get())[name] for name in NONE} == NONE


@pytest.mark.parametrize("whose", ["of_somebody", "ended", "not_seen", "other_school", "unknown", "of_a_teacher"])
async def test_nobody_chooses_for_a_child_that_is_not_theirs(
    school: School, sign_in: Any, other_school: School, whose: str
) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    person = sign_in(mother)
    match whose:
        case "of_somebody":
            child = await school.student()
            await school.guardian(child)
        case "ended":
            child = await school.student()
            await school.link(mother, child, ends_on=days_ago(school, 1))
        case "not_seen":
            child = await school.student()
            await school.link(mother, child, may_see=False)
        case "other_school":
            child = await other_school.student()
            await other_school.link(mother, child)
        case "of_a_teacher":
            child, person = ada, sign_in(mother, role="teacher")
        case _:
            child = new_id()

    answer = await person.put(OWN, {"choices": [choice("never", child=child)], "digest_hour": 6})

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    assert (await person.get())["digest_hour"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"time_zone": "Middle/Earth"},
        {"time_zone": "localtime"},
        {"time_zone": "Factory"},
        {"time_zone": "MET"},
        {"quiet_hours": {"starts_at": "08:00:00", "ends_at": "08:00:00", "days": [1]}},
        {"quiet_hours": {"starts_at": "08:00:30", "ends_at": "09:00:00", "days": [1]}},
        {"choices": [choice("daily_digest", channel="in_app")]},
        {"choices": [choice("never"), choice("at_once")]},
    ],
    ids=[
        "zone",
        "zone_of_the_machine",
        "zone_of_no_place",
        "abbreviation",
        "no_quiet",
        "seconds",
        "digest_in_app",
        "twice",
    ],
)
async def test_what_cannot_be_is_refused_with_a_word_on_why(sign_in: Any, body: Any) -> None:
    answer = await sign_in(new_id()).put(OWN, body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    "body",
    [
        *({"time_zone": each} for each in ("", "../../etc/passwd", "Europe/Ber\u0000lin", "E" * 65, 3)),
        {"digest_hour": 24},
        {"digest_hour": 10**30},
        {"quiet_hours": {"starts_at": "25:00:00", "ends_at": "07:00:00", "days": [1]}},
        {"quiet_hours": {"starts_at": "21:00:00Z", "ends_at": "07:00:00", "days": [1]}},
        {"quiet_hours": {"starts_at": "21:00:00", "ends_at": "07:00:00", "days": []}},
        {"quiet_hours": {"starts_at": "21:00:00", "ends_at": "07:00:00", "days": [8]}},
        {"choices": [choice("sometimes")]},
        {"choices": [choice("never", group="invites")]},
        {"choices": [choice("never", channel="pigeon")]},
        {"choices": [choice("never") | {"student_id": "ada"}]},
        {"recipient_id": str(UUID(int=1))},
    ],
    ids=lambda body: next(iter(body)),
)
async def test_what_makes_no_sense_is_refused(sign_in: Any, body: Any) -> None:
    assert (await sign_in(new_id()).put(OWN, body)).status_code in {400, 422}


async def test_choosing_twice_at_once_leaves_one_of_the_two(sign_in: Any) -> None:
    person = sign_in(new_id())
    wanted = [[choice("never"), choice("never", group="absence_reports")], [choice("daily_digest")]]

    answers = await asyncio.gather(*(person.put(OWN, {"choices": each}) for each in wanted * 4))

    assert {each.status_code for each in answers} == {200}
    found = sorted((each["group"], each["frequency"]) for each in (await person.get())["choices"])
    assert found in (
        [("absence_reports", "never"), ("announcements", "never")],
        [("announcements", "daily_digest")],
    )


# -- What the school insists on.


async def test_the_policy_is_as_it_comes_until_it_is_saved(office: Person, sign_in: Any, other_school: School) -> None:
    assert await office.get(POLICY) == DEFAULT
    wanted = {
        "at_once": ["announcements"],
        "at_least_daily": ["absences"],
        "digest_hour": 6,
        "alerts_break_quiet_hours": False,
    }

    answer = await office.put(POLICY, wanted)

    assert (answer.status_code, answer.json()) == (200, wanted)
    assert await office.get(POLICY) == wanted
    elsewhere = sign_in(new_id(), role="school_admin", school_id=other_school.school_id)
    assert await elsewhere.get(POLICY) == DEFAULT


async def test_a_group_is_not_mandatory_in_two_ways(office: Person) -> None:
    answer = await office.put(POLICY, DEFAULT | {"at_least_daily": ["absences"]})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unreadable-policy")


@pytest.mark.parametrize("muted", ["never", "daily_digest"])
async def test_what_is_mandatory_cannot_be_muted_and_the_answer_says_which(
    school: School, sign_in: Any, muted: str
) -> None:
    ada = await school.student()
    mother = sign_in(await school.guardian(ada))

    answer = await mother.put(OWN, {"choices": [choice("never"), choice(muted, group="absences", child=ada)]})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/mandatory-notice")
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/choices/1/frequency"]
    assert (await mother.get())["choices"] == []


async def test_what_becomes_mandatory_wins_over_what_was_chosen_before(
    school: School, sign_in: Any, office: Person, mail_server: MailServer
) -> None:
    tess = await school.teacher()
    teacher = sign_in(tess, role="teacher")
    await teacher.choose(choice("never"), choice("never", channel="in_app"))
    assert (await teacher.get())["choices"] != []

    await office.put(POLICY, DEFAULT | {"at_once": ["announcements"]})
    await school.announce(somebody(tess))
    await school.mails_are_sent()

    found = await teacher.get()
    assert frequency(found, "announcements", "email") == ("at_once", True)
    assert frequency(found, "announcements", "in_app") == ("at_once", True)
    assert {each["frequency"] for each in found["choices"]} == {"never"}
    assert await teacher.titles() == ["School trip"]
    assert len(mail_server.mails) == 1


async def test_what_is_shown_can_be_saved_as_it_is_and_nothing_less(
    school: School, sign_in: Any, office: Person
) -> None:
    tess = sign_in(await school.teacher(), role="teacher")
    await tess.choose(choice("never"), choice("daily_digest", group="registers"), digest_hour=6)
    await office.put(POLICY, DEFAULT | {"at_once": ["announcements", "registers"]})
    found = {name: each for name, each in (await tess.get()).items() if name in NONE}

    again = await tess.put(OWN, found)
    less = await tess.put(OWN, {"choices": [choice("never"), choice("never", group="registers")]})

    assert (again.status_code, less.status_code) == (200, 422)
    assert {name: again.json()[name] for name in NONE} == found
    assert [each["pointer"] for each in less.json()["errors"]] == ["/choices/1/frequency"]
    assert frequency(await tess.get(), "announcements", "email") == ("at_once", True)

    await tess.choose()
    assert (await tess.put(OWN, found)).status_code == 422, "what is given up cannot be taken back"


# -- What is told follows.


async def test_what_is_muted_by_mail_stands_in_the_app_only(
    school: School, sign_in: Any, mail_server: MailServer
) -> None:
    tess = await school.teacher()
    teacher = sign_in(tess, role="teacher")
    await teacher.choose(choice("never"))

    await school.announce(somebody(tess))
    await school.hear(school.missing(tess), about=new_id())
    await school.mails_are_sent()

    assert await teacher.titles() == ["Maths 5b: register missing", "School trip"]
    assert [mail["Subject"] for mail in mail_server.mails] == ["Maths 5b: register missing"]


async def test_what_is_muted_in_the_app_is_counted_and_shown_nowhere_there(
    school: School, sign_in: Any, mail_server: MailServer
) -> None:
    tess = await school.teacher()
    teacher = sign_in(tess, role="teacher")
    await teacher.choose(choice("never", channel="in_app"))

    await school.announce(somebody(tess))
    await school.mails_are_sent()

    assert await teacher.titles() == []
    assert await teacher.get(f"{INBOX}/unread-count") == {"unread_count": 0}
    assert len(mail_server.mails) == 1


async def test_a_child_is_muted_and_its_sibling_is_not(school: School, sign_in: Any, mail_server: MailServer) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother, father = await school.guardian(ada, ben), await school.guardian(ada)
    await sign_in(mother).choose(choice("never", child=ada))

    await school.announce(guardian(mother, ada), guardian(father, ada), title="Ada's class")
    await school.announce(guardian(mother, ben), title="Ben's class")
    await school.announce(guardian(mother, ada, ben), title="Both")
    await school.mails_are_sent()

    assert sorted(mail["Subject"] for mail in mail_server.to(str(mother))) == ["Ben's class", "Both"]
    assert [mail["Subject"] for mail in mail_server.to(str(father))] == ["Ada's class"]


async def test_a_mail_that_waits_is_not_sent_to_who_wants_none_by_then(
    school: School, sign_in: Any, mail_server: MailServer
) -> None:
    tess = await school.teacher()
    await school.announce(somebody(tess))

    await sign_in(tess, role="teacher").choose(choice("never"))
    await school.mails_are_sent()

    assert mail_server.mails == []
    (delivery,) = await school.deliveries()
    assert (delivery.state, delivery.last_error) == ("cancelled", "The recipient no longer wants it by mail.")


@pytest.mark.parametrize(
    ("quiet", "sent"),
    [(None, True), ({"ends_at": "22:30:00"}, True), ({"days": [4]}, True), ({"ends_at": "23:30:00"}, False)],
    ids=["none", "shorter", "another_day", "not_over_yet"],
)
async def test_quiet_that_ends_early_lets_go_what_it_held(
    school: School, sign_in: Any, mail_server: MailServer, at: Clock, quiet: dict[str, Any] | None, sent: bool
) -> None:
    tess, other = await school.teacher(), await school.teacher()
    night = {"starts_at": "21:00:00", "ends_at": "07:00:00", "days": [1, 2, 3, 4, 5, 6, 7]}
    for each in (tess, other):
        await sign_in(each, role="teacher").choose(quiet_hours=night)
    at.to("2026-06-10T22:00")
    await school.announce(somebody(tess), somebody(other))
    at.to("2026-06-10T23:00")
    await school.sender.send_due()
    assert mail_server.mails == []

    await sign_in(tess, role="teacher").choose(quiet_hours=None if quiet is None else {**night, **quiet})
    await school.sender.send_due()
    assert len(mail_server.to(str(tess))) == (1 if sent else 0)

    at.to("2026-06-10T23:30")
    await school.sender.send_due()
    assert len(mail_server.to(str(tess))) == 1
    assert mail_server.to(str(other)) == []


async def test_a_digest_that_is_held_goes_out_when_quiet_ends_early_and_not_before_its_hour(
    school: School, sign_in: Any, mail_server: MailServer, at: Clock
) -> None:
    held, early = await school.teacher(), await school.teacher()
    night = {"starts_at": "21:00:00", "ends_at": "07:00:00", "days": [1, 2, 3, 4, 5, 6, 7]}
    for each, hour in ((held, 22), (early, 20)):
        await sign_in(each, role="teacher").choose(choice("daily_digest"), digest_hour=hour, quiet_hours=night)
    await school.announce(somebody(held), somebody(early))
    at.to("2026-06-10T19:00")
    await sign_in(early, role="teacher").choose(choice("daily_digest"), digest_hour=20)
    await school.sender.send_due()
    assert mail_server.mails == []

    at.to("2026-06-10T23:00")
    await sign_in(held, role="teacher").choose(choice("daily_digest"), digest_hour=22)
    await school.sender.send_due()

    assert [len(mail_server.to(str(each))) for each in (held, early)] == [1, 1]


async def test_an_emergency_reaches_who_has_muted_everything(
    school: School, sign_in: Any, mail_server: MailServer
) -> None:
    tess = await school.teacher()
    teacher = sign_in(tess, role="teacher")
    await teacher.choose(choice("never"), choice("never", channel="in_app"))

    await school.announce(somebody(tess), is_urgent=True)
    await school.mails_are_sent()

    assert await teacher.titles() == ["School trip"]
    assert len(mail_server.mails) == 1


async def test_where_it_is_not_mandatory_an_alert_can_be_muted_for_one_child(
    school: School, sign_in: Any, office: Person, mail_server: MailServer
) -> None:
    await office.put(POLICY, DEFAULT | {"at_once": []})
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother = await school.guardian(ada, ben)
    person = sign_in(mother)
    await person.choose(*(choice("never", group="absences", channel=each, child=ada) for each in ("email", "in_app")))

    for child in (ada, ben):
        await school.mark(child, absent=True)
    await school.grace_ends()
    await school.mails_are_sent()

    assert await person.titles() == ["Ben was marked absent"]
    assert [mail["Subject"] for mail in mail_server.mails] == ["Ben was marked absent"]
