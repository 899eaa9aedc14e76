"""The delivery log: the office of a school sees what went out, and who was not reached."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.notification.deliveries.schemas import PLATFORM
from services.notification.settings import Settings
from services.notification.tests.factories import School, a_school, days_ago
from services.notification.tests.mail_server import MailServer
from services.notification.worker import create_worker
from shared import clock
from shared.contracts.auth import PasswordResetRequested
from shared.database import Database
from shared.ids import new_id
from shared.seal import Seal
from shared.testing.bus import deliver
from shared.testing.tokens import Tokens
from shared.worker import Worker

LOG = "/api/v1/deliveries"
PATHS = [LOG, f"{LOG}/{UUID(int=1)}"]
STATES = {"queued", "retried", "sent", "failed", "unreachable", "cancelled"}


class Office:
    """A school admin who reads the log."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers

    async def request(self, path: str, **query: Any) -> httpx.Response:
        return await self._client.get(path, params=query or None, headers=self._headers)

    async def get(self, path: str = LOG, **query: Any) -> Any:
        response = await self.request(path, **query)
        assert response.status_code == 200, response.text
        return response.json()

    async def log(self, **query: Any) -> list[dict[str, Any]]:
        """Every page, one after the other."""
        found = await self.get(**query)
        items = found["items"]
        while found["next"]:
            found = await self.get(found["next"])
            items += found["items"]
        return items

    async def states(self, **query: Any) -> list[str]:
        return sorted(each["state"] for each in await self.log(**query))


@pytest.fixture
def open_office(client: httpx.AsyncClient, tokens: Tokens) -> Any:
    return lambda school: Office(client, tokens.headers("school_admin", school_id=school.school_id))


@pytest.fixture
def office(open_office: Any, school: School) -> Office:
    return open_office(school)


async def absent(school: School, **guardian: Any) -> UUID:
    """A student who was missed today, with one guardian who was told."""
    student_id = await school.student()
    await school.guardian(student_id, **guardian)
    await school.mark(student_id, absent=True)
    await school.grace_ends()
    return student_id


async def in_every_state(school: School, mail_server: MailServer) -> dict[str, UUID]:
    """Students by the state of the one mail that there is about each."""
    students = {"unreachable": await absent(school, email=None), "failed": await absent(school)}
    mail_server.mood = "refuses_for_now"
    await school.mails_are_sent()
    await school.mails_are_sent()
    students["retried"] = await absent(school)
    await school.mails_are_sent()
    mail_server.mood = "well"
    students["cancelled"] = await absent(school)
    await school.mark(students["cancelled"], absent=False)
    students["sent"] = await absent(school)
    await school.sender.send_due()
    students["queued"] = await absent(school)
    return students


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_reads_the_log_without_a_token(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize("role", ["teacher", "student", "guardian", "platform_admin", "unknown"])
@pytest.mark.parametrize("path", PATHS)
async def test_only_the_office_reads_the_log(
    client: httpx.AsyncClient, tokens: Tokens, school: School, path: str, role: str
) -> None:
    headers = tokens.headers(role, school_id=school.school_id, person_id=new_id())

    assert (await client.get(path, headers=headers)).status_code == 403


async def test_an_office_without_a_school_reads_no_log(client: httpx.AsyncClient, tokens: Tokens) -> None:
    assert (await client.get(LOG, headers=tokens.headers("school_admin"))).status_code == 403


async def test_the_office_sees_the_state_of_each_mail(school: School, office: Office, mail_server: MailServer) -> None:
    students = await in_every_state(school, mail_server)

    alerts = [each for each in await office.log() if each["category"] == "absence_alert"]

    assert {each["state"]: UUID(each["student_id"]) for each in alerts} == students
    assert len(alerts) == len(students)
    assert set(students) == STATES


async def test_the_log_narrows_to_states_a_student_and_a_day(
    school: School, office: Office, mail_server: MailServer
) -> None:
    students = await in_every_state(school, mail_server)

    not_reached = await office.states(state=["failed", "unreachable"])
    of_one = await office.states(student_id=str(students["sent"]))
    today = await office.states(day=str(school.today))
    yesterday = await office.states(day=str(days_ago(school, 1)))
    nothing = await office.states(state="sent", student_id=str(students["queued"]))

    assert not_reached == ["failed", "unreachable"]
    assert of_one == ["sent"]
    assert today == sorted([*STATES, "cancelled"])
    assert (yesterday, nothing) == ([], [])


async def test_pages_have_no_gap_and_no_double_and_stay_as_narrow(school: School, office: Office) -> None:
    wanted = [await absent(school, email=None) for _ in range(3)] + [await absent(school) for _ in range(2)]
    first = await office.get(limit=2, state=["unreachable", "queued"], day=str(school.today))
    other = await absent(school, email=None)

    found = first["items"]
    page = first
    while page["next"]:
        page = await office.get(page["next"])
        found += page["items"]

    assert [UUID(each["student_id"]) for each in found] == wanted[::-1]
    assert await office.states(limit=1, state="unreachable") == ["unreachable"] * 4
    assert UUID((await office.get(limit=1))["items"][0]["student_id"]) == other


async def test_one_delivery_shows_its_history_and_the_servers_word(
    school: School, office: Office, mail_server: MailServer
) -> None:
    student_id = await absent(school)
    mail_server.mood = "refuses_for_now"
    await school.mails_are_sent()
    mail_server.mood = "well"
    await school.mails_are_sent()
    (line,) = await office.log(student_id=str(student_id))

    shown = await office.get(f"{LOG}/{line['delivery_id']}")

    assert [(each["state"], each["attempts"]) for each in shown["events"]] == [
        ("queued", 0),
        ("retried", 1),
        ("sent", 2),
    ]
    assert "451" in shown["events"][1]["detail"]
    assert "taken over as 42" in shown["delivery"]["provider_answer"]
    assert shown["delivery"]["address"].endswith("@home.test")
    assert shown["delivery"]["next_attempt_at"] is None


async def test_the_office_sees_an_absence_that_there_was_nobody_to_tell_of_once(school: School, office: Office) -> None:
    ada = await school.student("Ada")
    for lessons in (("Maths",), ("Maths", "English")):
        await school.mark(ada, absent=True, lessons=lessons)
        await school.grace_ends()

    (line,) = await office.log(student_id=str(ada))

    assert (line["state"], line["recipient_person_id"]) == ("unreachable", None)
    assert line["last_error"] == "There is no guardian to tell."
    assert await school.state(ada) == "withheld: nobody_to_tell"


async def test_the_log_never_holds_a_code(school: School, office: Office, settings: Settings, worker: Worker) -> None:
    invite = school.invite(Seal(settings.seal_key).close("12345678"), email="anne@home.test")
    await deliver(worker, invite, school_id=school.school_id)

    (line,) = await office.log()
    response = await office.request(f"{LOG}/{line['delivery_id']}")

    assert line["category"] == "invite"
    assert "12345678" not in response.text
    assert invite.sealed_code not in response.text


async def test_the_log_of_another_school_is_not_there(
    school: School, office: Office, open_office: Any, settings: Settings, database: Database, announcer: Any
) -> None:
    other = await a_school(create_worker(settings, database, announcer), settings, database, announcer)
    await absent(other)
    theirs = (await open_office(other).log())[0]["delivery_id"]

    answers = [await office.request(f"{LOG}/{each}") for each in (theirs, new_id())]

    assert [each.status_code for each in answers] == [404, 404]
    assert len({each.json()["type"] for each in answers}) == 1
    assert await office.log() == []
    assert await office.log(student_id=(await open_office(other).log())[0]["student_id"]) == []


async def test_mails_that_belong_to_no_school_are_in_no_log(
    school: School, office: Office, settings: Settings, worker: Worker
) -> None:
    reset = PasswordResetRequested(
        reset_id=new_id(),
        email="anne@home.test",
        sealed_code=Seal(settings.seal_key).close("12345678"),
        expires_at=clock.now() + timedelta(hours=1),
    )
    event_id = new_id()
    await deliver(worker, reset, school_id=None, event_id=event_id)

    assert await office.log() == []
    assert (await office.request(f"{LOG}/{event_id}")).status_code == 404
    reader = school.database.reader(school_id=PLATFORM)
    assert await reader.value(str, "SELECT state FROM delivery WHERE delivery_id = %(id)s", id=event_id) == "queued"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "cursor=nonsense", "state=lost", "day=today", "student_id=1"]
)
async def test_a_query_that_makes_no_sense_is_refused(office: Office, query: str) -> None:
    assert (await office.request(f"{LOG}?{query}")).status_code == 400
