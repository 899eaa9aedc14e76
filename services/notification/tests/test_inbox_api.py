"""The inbox: everybody's own, complete, in order, live, and only while they may see the child."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.notification.app import create_app
from services.notification.inbox import rules
from services.notification.inbox.live import Announcer, Streams
from services.notification.inbox.queries import add_notifications
from services.notification.inbox.schemas import NewNotification
from services.notification.inbox.stream import HEARTBEAT, InboxStream
from services.notification.settings import Settings
from services.notification.tests.factories import School, a_school, days_ago
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.ids import new_id
from shared.testing.tokens import Tokens
from shared.web.app import litestar_of
from shared.worker import Worker

INBOX = "/api/v1/inbox"
GETS = [INBOX, f"{INBOX}/unread-count", f"{INBOX}/stream"]
POSTS = [f"{INBOX}/{UUID(int=1)}/read", f"{INBOX}/read-all"]
EVERYTHING = [*(("GET", path) for path in GETS), *(("POST", path) for path in POSTS)]


class Person:
    """Somebody who is signed in at one school, and what they see."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers

    async def get(self, path: str, **query: Any) -> Any:
        response = await self._client.get(path, params=query or None, headers=self._headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str) -> httpx.Response:
        return await self._client.post(path, headers=self._headers)

    async def inbox(self, **query: Any) -> list[dict[str, Any]]:
        return (await self.get(INBOX, **query))["items"]

    async def titles(self, **query: Any) -> list[str]:
        return [each["title"] for each in await self.inbox(**query)]

    async def unread(self) -> int:
        return (await self.get(f"{INBOX}/unread-count"))["unread_count"]

    async def pages(self, **query: Any) -> list[list[str]]:
        found = await self.get(INBOX, **query)
        pages = [found]
        while found["next"]:
            found = await self.get(found["next"])
            pages.append(found)
        return [[each["notification_id"] for each in page["items"]] for page in pages]


@pytest.fixture
def sign_in(client: httpx.AsyncClient, tokens: Tokens, school: School) -> Any:
    def as_person(person_id: UUID, *, role: str = "guardian", school_id: UUID | None = None) -> Person:
        headers = tokens.headers(role, school_id=school_id or school.school_id, person_id=person_id)
        return Person(client, headers)

    return as_person


async def notify(school: School, person_id: UUID, count: int = 1) -> list[UUID]:
    """Notifications about no child in particular; their ids, oldest first."""
    made = [
        NewNotification(
            notification_id=new_id(),
            recipient_person_id=person_id,
            student_ids=[],
            category="absence_alert",
            idempotency_key=str(new_id()),
            title="Hello",
            body="Hello",
            deep_link="/",
            created_at=clock.now(),
        )
        for _ in range(count)
    ]
    async with school.database.transaction(school_id=school.school_id) as tx:
        await add_notifications(tx, school.school_id, made)
    return [each.notification_id for each in made]


async def absent(school: School, *students: UUID) -> None:
    for student_id in students:
        await school.mark(student_id, absent=True)
    await school.grace_ends()


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_nobody_reads_an_inbox_without_a_token(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)

    assert response.status_code == 401


@pytest.mark.parametrize("role", ["platform_admin", "unknown"])
@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_who_has_no_inbox_is_refused(
    client: httpx.AsyncClient, tokens: Tokens, school: School, method: str, path: str, role: str
) -> None:
    headers = tokens.headers(role, school_id=school.school_id, person_id=new_id())

    response = await client.request(method, path, headers=headers)

    assert response.status_code == 403


@pytest.mark.parametrize("role", ["guardian", "school_admin"])
@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_a_login_without_a_school_has_no_inbox(
    client: httpx.AsyncClient, tokens: Tokens, method: str, path: str, role: str
) -> None:
    response = await client.request(method, path, headers=tokens.headers(role, person_id=UUID(int=1)))

    assert response.status_code == 403


async def test_an_office_without_a_school_record_reads_under_its_login(
    client: httpx.AsyncClient, tokens: Tokens, school: School
) -> None:
    login, colleague = new_id(), new_id()
    (told,) = await notify(school, login)
    office = Person(client, tokens.headers("school_admin", school_id=school.school_id, user_id=login))
    other = Person(client, tokens.headers("school_admin", school_id=school.school_id, user_id=colleague))

    assert [each["notification_id"] for each in await office.inbox()] == [str(told)]
    assert (await other.inbox(), await other.unread()) == ([], 0)
    assert (await other.post(f"{INBOX}/{told}/read")).status_code == 404
    assert (await office.post(f"{INBOX}/{told}/read")).json() == {"unread_count": 0}


async def test_a_guardian_reads_what_they_were_told(school: School, sign_in: Any) -> None:
    ada = await school.student("Ada")
    mother = await school.guardian(ada)
    await absent(school, ada)

    (told,) = await sign_in(mother).inbox()

    assert told["title"] == "Ada was marked absent"
    assert told["student_id"] == str(ada)
    assert told["deep_link"] == f"/students/{ada}/attendance/{school.today}"
    assert told["read_at"] is None


@pytest.mark.parametrize("role", ["teacher", "student", "guardian"])
async def test_everybody_of_a_school_has_an_inbox(school: School, sign_in: Any, role: str) -> None:
    person_id = new_id()
    (told,) = await notify(school, person_id)

    assert [each["notification_id"] for each in await sign_in(person_id, role=role).inbox()] == [str(told)]


async def test_each_reads_their_own_inbox_only(school: School, sign_in: Any) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    adas, bens = await school.guardian(ada), await school.guardian(ben)
    await absent(school, ada, ben)

    assert await sign_in(adas).titles() == ["Ada was marked absent"]
    assert await sign_in(bens).titles() == ["Ben was marked absent"]
    assert await sign_in(new_id()).titles() == []


async def test_a_guardian_at_two_schools_reads_each_inbox_at_its_school(
    school: School, sign_in: Any, worker: Worker, settings: Settings, database: Database, announcer: Announcer
) -> None:
    other = await a_school(worker, settings, database, announcer)
    ada, ben = await school.student("Ada"), await other.student("Ben")
    here, there = await school.guardian(ada), await other.guardian(ben)
    await absent(school, ada)
    await absent(other, ben)

    assert await sign_in(here).titles() == ["Ada was marked absent"]
    assert await sign_in(there, school_id=other.school_id).titles() == ["Ben was marked absent"]
    assert await sign_in(here, school_id=other.school_id).titles() == []
    assert await sign_in(there).titles() == []


async def test_the_inbox_narrows_to_one_child_and_to_what_is_unread(school: School, sign_in: Any) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother = sign_in(await school.guardian(ada, ben))
    await absent(school, ada, ben)
    (of_ada,) = await mother.inbox(student_id=str(ada))

    await mother.post(f"{INBOX}/{of_ada['notification_id']}/read")

    assert of_ada["title"] == "Ada was marked absent"
    assert await mother.titles(unread="true") == ["Ben was marked absent"]
    assert await mother.titles(unread="true", student_id=str(ada)) == []


async def test_reading_one_counts_down_and_again_changes_nothing(school: School, sign_in: Any) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother = sign_in(await school.guardian(ada, ben))
    await absent(school, ada, ben)
    newest = (await mother.inbox())[0]["notification_id"]

    first = await mother.post(f"{INBOX}/{newest}/read")
    read_at = (await mother.inbox())[0]["read_at"]
    second = await mother.post(f"{INBOX}/{newest}/read")

    assert first.json() == second.json() == {"unread_count": 1}
    assert read_at is not None
    assert (await mother.inbox())[0]["read_at"] == read_at
    assert await mother.unread() == 1


async def test_reading_all_leaves_nothing_unread_and_again_changes_nothing(school: School, sign_in: Any) -> None:
    ada = await school.student()
    mother, father = await school.guardian(ada), await school.guardian(ada)
    await notify(school, mother, 3)
    await absent(school, ada)

    first = await sign_in(mother).post(f"{INBOX}/read-all")
    read_at = [each["read_at"] for each in await sign_in(mother).inbox()]
    second = await sign_in(mother).post(f"{INBOX}/read-all")

    assert first.json() == second.json() == {"unread_count": 0}
    assert [each["read_at"] for each in await sign_in(mother).inbox()] == read_at
    assert None not in read_at
    assert await sign_in(father).unread() == 1


async def test_what_is_anothers_or_another_schools_or_unknown_looks_the_same(
    school: School, sign_in: Any, worker: Worker, settings: Settings, database: Database, announcer: Announcer
) -> None:
    other = await a_school(worker, settings, database, announcer)
    person_id = new_id()
    (mine_there,) = await notify(other, person_id)
    (strangers,) = await notify(school, new_id())

    answers = [await sign_in(person_id).post(f"{INBOX}/{each}/read") for each in (mine_there, strangers, new_id())]

    assert [each.status_code for each in answers] == [404, 404, 404]
    assert len({each.json()["type"] for each in answers}) == 1
    assert await sign_in(person_id, school_id=other.school_id).unread() == 1


@pytest.mark.parametrize(
    "link",
    [
        {"is_active": False},
        {"may_see": False},
        {"ends_on": "yesterday"},
        {"starts_on": "tomorrow"},
    ],
    ids=lambda link: next(iter(link)),
)
async def test_who_may_no_longer_see_a_child_sees_nothing_told_of_it(
    school: School, sign_in: Any, link: dict[str, Any]
) -> None:
    days = {"yesterday": days_ago(school, 1), "tomorrow": school.today + timedelta(days=1)}
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother_id, father_id = await school.guardian(ada, ben), await school.guardian(ada)
    mother = sign_in(mother_id)
    await absent(school, ada, ben)
    of_ada = (await mother.inbox(student_id=str(ada)))[0]["notification_id"]

    await school.link(mother_id, ada, **{name: days.get(value, value) for name, value in link.items()})

    assert await mother.titles() == ["Ben was marked absent"]
    assert await mother.unread() == 1
    assert (await mother.post(f"{INBOX}/{of_ada}/read")).status_code == 404
    assert (await mother.post(f"{INBOX}/read-all")).json() == {"unread_count": 0}
    assert await sign_in(father_id).titles() == ["Ada was marked absent"]
    await school.link(mother_id, ada)
    assert await mother.unread() == 1


async def test_pages_have_no_gap_and_no_double_while_more_arrives(school: School, sign_in: Any) -> None:
    person_id = new_id()
    person = sign_in(person_id)
    told = await notify(school, person_id, 7)

    first = await person.get(INBOX, limit=3)
    await notify(school, person_id, 2)
    second = await person.get(first["next"])
    third = await person.get(second["next"])

    pages = [[each["notification_id"] for each in page["items"]] for page in (first, second, third)]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [each for page in pages for each in page] == [str(each) for each in reversed(told)]
    assert third["next"] is None


async def test_the_next_page_is_as_narrow_as_the_first(school: School, sign_in: Any) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    mother = sign_in(await school.guardian(ada, ben))
    for day in range(2):
        await school.mark(ada, absent=True, day=days_ago(school, day))
        await school.mark(ben, absent=True, day=days_ago(school, day))
    await school.grace_ends()
    of_ada = [each["notification_id"] for each in await mother.inbox(student_id=str(ada))]
    assert len(of_ada) == 2

    pages = await mother.pages(student_id=str(ada), unread="true", limit=1)

    assert [each for page in pages for each in page] == of_ada


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=nonsense", "student_id=1", "unread=perhaps"])
async def test_a_query_that_makes_no_sense_is_refused(school: School, client: Any, tokens: Tokens, query: str) -> None:
    headers = tokens.headers("guardian", school_id=school.school_id, person_id=new_id())

    response = await client.get(f"{INBOX}?{query}", headers=headers)

    assert response.status_code == 400


# -- The live stream. The test's client reads a response only when it is whole, so most read the stream itself.


@pytest.fixture
async def streams(settings: Settings, announcer: Announcer, database: Database) -> AsyncGenerator[Streams]:
    """Streams whose subscription stands."""
    async with Streams(settings.redis_url).running() as streams:
        with streams.hints(new_id(), new_id()) as first:
            # The subscription ends whom it finds: from here on nothing is missed.
            assert await asyncio.wait_for(first.get(), 60) is None
        yield streams


class Reader:
    """One reader's open stream."""

    def __init__(self, chunks: AsyncGenerator[bytes]) -> None:
        self._chunks = chunks

    async def event(self) -> tuple[str, str, Any]:
        """The next event: its name, id and data."""
        found = await self.events(1)
        return found[0]

    async def events(self, count: int) -> list[tuple[str, str, Any]]:
        found: list[tuple[str, str, Any]] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                found += parsed(await anext(self._chunks))
        return found

    async def rest(self) -> list[tuple[str, str, Any]]:
        """Everything until the stream ends by itself."""
        async with asyncio.timeout(60):
            return [each async for chunk in self._chunks for each in parsed(chunk)]


def parsed(chunk: bytes) -> list[tuple[str, str, Any]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in chunk.decode().split("\n\n")]
    return [(each["event"], each["id"], json.loads(each["data"])) for each in blocks if "event" in each]


def caller_of(school: School, person_id: UUID, *, seconds: float = 600) -> Caller:
    now = int(time.time())
    return Caller(
        user_id=new_id(),
        session_id=new_id(),
        role="guardian",
        expires_at=int(time.time() + seconds),
        issued_at=now,
        school_id=school.school_id,
        person_id=person_id,
    )


def opened(school: School, streams: Streams, person_id: UUID, **how: Any) -> Any:
    """The stream of one reader, closed at the end of the `async with`."""
    last_event_id = how.pop("last_event_id", None)
    return aclosing(InboxStream(school.database, streams, caller_of(school, person_id, **how), last_event_id).events())


async def test_the_stream_says_at_once_how_much_is_unread(school: School, streams: Streams) -> None:
    person_id = new_id()
    await notify(school, person_id, 2)

    async with opened(school, streams, person_id) as stream:
        name, _, data = await Reader(stream).event()

    assert (name, data) == ("unread_count", {"unread_count": 2})


async def test_the_stream_tells_of_a_new_notification_and_the_new_count(school: School, streams: Streams) -> None:
    ada = await school.student("Ada")
    mother = await school.guardian(ada)
    async with opened(school, streams, mother) as stream:
        reader = Reader(stream)
        await reader.event()

        await absent(school, ada)
        (told, id_, notification), (counted, _, count) = await reader.events(2)

    assert (told, notification["title"]) == ("notification", "Ada was marked absent")
    assert id_ == notification["notification_id"]
    assert (counted, count) == ("unread_count", {"unread_count": 1})


async def test_reading_somewhere_is_told_everywhere(school: School, streams: Streams, sign_in: Any) -> None:
    ada = await school.student()
    mother = await school.guardian(ada)
    await absent(school, ada)
    async with opened(school, streams, mother) as phone, opened(school, streams, mother) as laptop:
        readers = [Reader(phone), Reader(laptop)]
        assert [(await each.event())[2]["unread_count"] for each in readers] == [1, 1]

        await sign_in(mother).post(f"{INBOX}/read-all")

        assert [(await each.event())[2]["unread_count"] for each in readers] == [0, 0]


async def test_the_stream_tells_nobody_elses(school: School, streams: Streams) -> None:
    ada, ben = await school.student("Ada"), await school.student("Ben")
    adas, bens = await school.guardian(ada), await school.guardian(ben)
    async with opened(school, streams, adas) as stream, opened(school, streams, bens) as control:
        reader, other = Reader(stream), Reader(control)
        await reader.event()
        await other.event()

        await absent(school, ben)
        assert (await other.event())[2]["title"] == "Ben was marked absent"
        await absent(school, ada)

        assert (await reader.event())[2]["title"] == "Ada was marked absent"


async def test_an_open_stream_is_silent_about_a_child_that_may_no_longer_be_seen(
    school: School, streams: Streams
) -> None:
    ada = await school.student("Ada")
    mother = await school.guardian(ada)
    await absent(school, ada)
    async with opened(school, streams, mother) as stream:
        reader = Reader(stream)
        assert (await reader.event())[2] == {"unread_count": 1}

        await school.link(mother, ada, may_see=False)
        await school.mark(ada, absent=False)

        name, _, data = await reader.event()
        assert (name, data) == ("unread_count", {"unread_count": 0})
        assert [each.category for each in await school.notified()] == ["absence_alert", "absence_correction"]


async def test_who_comes_again_is_told_what_they_missed_first(school: School, streams: Streams) -> None:
    person_id = new_id()
    told = await notify(school, person_id, 103)

    async with opened(school, streams, person_id, last_event_id=told[0]) as stream:
        events = await Reader(stream).events(104)

    # What is a little older than the last event seen comes once more: it may have been committed later.
    assert [id_ for name, id_, _ in events if name == "notification"] == [str(each) for each in told]
    assert events[-1][0] == "unread_count"


async def test_who_comes_for_the_first_time_is_told_the_count_only(school: School, streams: Streams) -> None:
    person_id = new_id()
    await notify(school, person_id, 3)

    async with opened(school, streams, person_id) as stream:
        assert (await Reader(stream).event())[0] == "unread_count"


async def test_the_stream_ends_with_the_token(school: School, streams: Streams) -> None:
    async with opened(school, streams, new_id(), seconds=-1) as stream:
        events = await Reader(stream).rest()

    assert [name for name, _, _ in events] == ["unread_count"]


async def test_a_silent_stream_has_a_heartbeat(
    school: School, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notification.inbox.stream.HEARTBEAT_S", 0.02)
    async with opened(school, streams, new_id()) as stream, asyncio.timeout(60):
        chunks = [await anext(stream) for _ in range(4)]

    assert chunks[2:] == [HEARTBEAT, HEARTBEAT]


async def test_a_stream_that_may_have_missed_something_ends_so_that_its_reader_comes_again(
    school: School, streams: Streams
) -> None:
    async with opened(school, streams, new_id()) as stream:
        reader = Reader(stream)
        await reader.event()

        streams.end_all()

        assert await reader.rest() == []


async def test_who_comes_to_a_process_that_stops_is_sent_to_another_at_once(school: School, streams: Streams) -> None:
    person_id = new_id()
    (told,) = await notify(school, person_id)
    streams.end_for_good()

    async with opened(school, streams, person_id, last_event_id=told) as stream:
        events = await Reader(stream).rest()

    assert [name for name, _, _ in events] == ["notification", "unread_count"]


async def test_a_reader_who_does_not_keep_up_is_ended_and_holds_up_nobody(school: School, streams: Streams) -> None:
    channel_owner = new_id()
    with streams.hints(school.school_id, channel_owner) as slow:
        for _ in range(slow.maxsize + 1):
            streams._tell(f"inbox:{school.school_id}:{channel_owner}", "read")

        assert [slow.get_nowait() for _ in range(slow.qsize())] == [None]


async def test_a_reader_who_leaves_is_forgotten(school: School, streams: Streams) -> None:
    async with opened(school, streams, new_id()) as stream:
        await Reader(stream).event()
        assert len(streams._open) == 1

    assert streams._open == {}


async def test_a_reader_whose_connection_is_gone_is_forgotten(
    settings: Settings, tokens: Tokens, school: School
) -> None:
    app = create_app(settings, tokens.verifier)
    provided: Any = litestar_of(app).dependencies["streams"]
    streams: Streams = provided.dependency()
    token = tokens.token("guardian", school_id=school.school_id, person_id=new_id())
    told, asked = asyncio.Event(), asyncio.Event()

    async def receive() -> Any:
        if not asked.is_set():
            asked.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await told.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if b"unread_count" in message.get("body", b""):
            assert len(streams._open) == 1
            told.set()

    async with litestar_of(app).lifespan(), asyncio.timeout(60):
        await app(stream_scope(token), receive, send)

        assert told.is_set()
        assert streams._open == {}


def stream_scope(token: str) -> Any:
    """What a server makes of a request for the stream."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"{INBOX}/stream",
        "raw_path": f"{INBOX}/stream".encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"service.test"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("service.test", 80),
        "state": {},
    }


async def test_the_stream_is_served_as_server_sent_events(
    client: httpx.AsyncClient, tokens: Tokens, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "seconds_left", lambda *_: 0)
    person_id = new_id()
    (told,) = await notify(school, person_id)
    headers = tokens.headers("guardian", school_id=school.school_id, person_id=person_id)

    response = await client.get(f"{INBOX}/stream", headers={**headers, "Last-Event-ID": str(told)})

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.text.startswith("retry: ")
    assert [name for name, _, _ in parsed(response.content)][:2] == ["notification", "unread_count"]


async def test_a_last_event_id_that_we_never_gave_is_refused(
    client: httpx.AsyncClient, tokens: Tokens, school: School
) -> None:
    headers = tokens.headers("guardian", school_id=school.school_id, person_id=new_id())

    response = await client.get(f"{INBOX}/stream", headers={**headers, "Last-Event-ID": "1; DROP TABLE"})

    assert response.status_code == 400
