"""Idempotency-Key on a small service: one effect, one answer, whoever sends it again and whenever (bar B23)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest
from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody

from shared import clock
from shared.database import Database, Tx
from shared.idempotency import KEPT, Answer, Claim, answer_of, forget_old, keep, take
from shared.identity import Caller
from shared.ids import new_id
from shared.problems import Conflict, Unavailable
from shared.settings import ServiceSettings
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from shared.web import build_app, openapi_document
from shared.web.app import litestar_of

KEY = "Idempotency-Key"
REPLAYED = "idempotency-replayed"
CREATE_TABLE = """
CREATE TABLE parcel (school_id uuid NOT NULL, id uuid NOT NULL, label text NOT NULL, PRIMARY KEY (school_id, id));
ALTER TABLE parcel ENABLE ROW LEVEL SECURITY;
ALTER TABLE parcel FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON parcel USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON parcel TO school_app;
"""
ADD = "INSERT INTO parcel (school_id, id, label) VALUES (%(school_id)s, %(id)s, %(label)s)"
COUNT = "SELECT count(*) FROM parcel WHERE school_id = %(school_id)s AND label = %(label)s"
KEYS = "SELECT count(*) FROM school.idempotency WHERE key = %s"


class NewParcel(msgspec.Struct, forbid_unknown_fields=True):
    label: str
    how: str = ""


class Parcel(msgspec.Struct):
    id: UUID
    seen: int
    """How many of that label a reader sees, before the transaction of the request is over."""


class Refused(Conflict):
    slug = "parcel-refused"


class Post:
    """What a test watches and steers while handlers run."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.go_on = asyncio.Event()
        self.is_running = asyncio.Event()
        self.background: set[asyncio.Task[None]] = set()


@post("/parcels", operation_id="add_parcel", opt={"permission": "parcel"})
async def add_parcel(
    data: JSONBody[NewParcel],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    office: NamedDependency[Post],
) -> Parcel:
    school_id, parcel_id = caller.school, new_id()
    before = database.reader(school_id=school_id)
    await before.value(int, COUNT, school_id=school_id, label=data.label)
    async with database.transaction(school_id=school_id) as tx:
        await tx.execute(ADD, school_id=school_id, id=parcel_id, label=data.label)
        tx.after_commit(lambda: tell(office, data.label))
        if data.how == "refuse":
            raise Refused("As you wish.")
    if data.how == "refuse late":
        raise Refused("As you wish.")
    if data.how == "swallow":
        with suppress(Refused):
            async with database.transaction(school_id=school_id) as tx:
                await tx.execute(ADD, school_id=school_id, id=new_id(), label=data.label)
                tx.after_commit(lambda: tell(office, "swallowed"))
                raise Refused
    if data.how == "in the background":
        task = asyncio.create_task(write_later(database, school_id, data.label, office))
        office.background.add(task)
    if data.how == "wait":
        office.is_running.set()
        await office.go_on.wait()
    seen = await before.value(int, COUNT, school_id=school_id, label=data.label)
    return Parcel(id=parcel_id, seen=seen or 0)


async def tell(office: Post, what: str) -> None:
    office.told.append(what)


async def write_later(database: Database, school_id: UUID, label: str, office: Post) -> None:
    async with database.transaction(school_id=school_id) as tx:
        await tx.execute(ADD, school_id=school_id, id=new_id(), label=f"later {label}")
    office.told.append("later")


@post("/platform-parcels/{school_id:uuid}", operation_id="send_parcel", opt={"permission": "anywhere"})
async def send_parcel(
    school_id: FromPath[UUID], data: JSONBody[NewParcel], database: NamedDependency[Database]
) -> Parcel:
    parcel_id = new_id()
    async with database.transaction(school_id=school_id) as tx:
        await tx.execute(ADD, school_id=school_id, id=parcel_id, label=data.label)
        # Somebody reads as nobody amid a transaction: it must not lose its own school by that.
        await database.reader().value(int, COUNT, school_id=school_id, label=data.label)
        seen = await tx.value(int, COUNT, school_id=school_id, label=data.label)
    return Parcel(id=parcel_id, seen=seen or 0)


@post("/unkeyed", operation_id="unkeyed", opt={"permission": "parcel", "unkeyed": "It shall be so."})
async def unkeyed() -> UUID:
    return new_id()


@get("/parcels", operation_id="count_parcels", opt={"permission": "parcel"})
async def count_parcels(
    label: FromQuery[str], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> int:
    reader = database.reader(school_id=caller.school)
    return await reader.value(int, COUNT, school_id=caller.school, label=label) or 0


class Client:
    """A clerk at a school, who asks one of the processes."""

    def __init__(self, http: httpx.AsyncClient, tokens: Tokens, **who: Any) -> None:
        self.school_id = who.setdefault("school_id", new_id())
        self._http, self.headers = http, tokens.headers(who.pop("role", "clerk"), **who)

    async def send(self, key: str | None, label: str, path: str = "/parcels", **more: str) -> httpx.Response:
        headers = self.headers | ({KEY: key} if key is not None else {})
        return await self._http.post(path, json={"label": label, **more}, headers=headers)

    async def count(self, label: str) -> int:
        return (await self._http.get("/parcels", params={"label": label}, headers=self.headers)).json()


@pytest.fixture(scope="module", autouse=True)
def table(stack: Stack) -> Any:
    with psycopg.connect(stack.owner_url("school"), autocommit=True) as owner:
        owner.execute(CREATE_TABLE)
        yield
        owner.execute("DROP TABLE parcel")


@pytest.fixture
def office() -> Post:
    return Post()


def app_of(stack: Stack, tokens: Tokens, office: Post, **settings: object) -> Any:
    return build_app(
        "school",
        stack.settings(ServiceSettings, "school", **settings),
        routers=[Router("/", route_handlers=[add_parcel, send_parcel, unkeyed, count_parcels])],
        permissions={"clerk": frozenset({"parcel"}), "platform": frozenset({"anywhere"})},
        verifier=tokens.verifier,
        dependencies={"office": Provide(lambda: office, sync_to_thread=False)},
    )


@pytest.fixture
async def http(stack: Stack, tokens: Tokens, office: Post) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(app_of(stack, tokens, office)) as client:
        yield client


@pytest.fixture
async def second_process(stack: Stack, tokens: Tokens, office: Post) -> AsyncGenerator[httpx.AsyncClient]:
    """As another process: it shares nothing with the first but the database."""
    async with client_of(app_of(stack, tokens, office)) as client:
        yield client


@pytest.fixture
def clerk(http: httpx.AsyncClient, tokens: Tokens) -> Client:
    return Client(http, tokens)


async def test_a_request_that_is_sent_again_is_answered_again(clerk: Client, office: Post) -> None:
    first = await clerk.send("key-1", "once")
    again = await clerk.send("key-1", "once")

    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["cache-control"] == "no-store"
    assert await clerk.count("once") == 1
    assert office.told == ["once"]


async def test_a_handler_reads_what_it_wrote(clerk: Client) -> None:
    assert (await clerk.send("key-own", "own")).json()["seen"] == 1


async def test_without_a_key_each_request_has_its_effect(clerk: Client) -> None:
    answers = [await clerk.send(None, "twice") for _ in range(2)]

    assert len({answer.json()["id"] for answer in answers}) == 2
    assert await clerk.count("twice") == 2


async def test_fifty_at_once_have_one_effect_and_one_answer(
    clerk: Client, second_process: httpx.AsyncClient, office: Post
) -> None:
    other = Client(second_process, Tokens(), school_id=clerk.school_id)
    other.headers = clerk.headers

    answers = await asyncio.gather(*((clerk, other)[number % 2].send("key-50", "fifty") for number in range(50)))

    assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED not in answer.headers for answer in answers) == 1
    assert await clerk.count("fifty") == 1
    assert office.told == ["fifty"]


async def test_another_request_with_the_same_key_is_refused(clerk: Client) -> None:
    await clerk.send("key-other", "one")

    refused = await clerk.send("key-other", "two")

    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await clerk.count("two") == 0


async def test_nobody_knows_the_keys_of_another(http: httpx.AsyncClient, tokens: Tokens, clerk: Client) -> None:
    user_id, school_id = new_id(), new_id()
    people = [
        Client(http, tokens, user_id=user_id, school_id=school_id),
        Client(http, tokens, user_id=new_id(), school_id=school_id),
        Client(http, tokens, user_id=user_id, school_id=new_id()),
    ]

    answers = [await each.send("key-shared", "theirs") for each in people]

    assert [REPLAYED in answer.headers for answer in answers] == [False] * 3
    assert len({answer.json()["id"] for answer in answers}) == 3


async def test_an_error_is_not_kept_and_leaves_nothing(clerk: Client, stack: Stack, office: Post) -> None:
    for how in ("refuse", "refuse late"):
        refused = await clerk.send("key-error", "error", how=how)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/parcel-refused")

    with psycopg.connect(stack.admin_url) as admin:
        assert admin.execute(KEYS, ("key-error",)).fetchone() == (0,)
    assert await clerk.count("error") == 0
    assert office.told == []
    assert (await clerk.send("key-error", "error")).status_code == 201


async def test_what_a_handler_takes_back_itself_stays_taken_back(clerk: Client, office: Post) -> None:
    assert (await clerk.send("key-part", "part", how="swallow")).status_code == 201

    assert await clerk.count("part") == 1
    assert office.told == ["part"]


BAD_KEYS = {"empty": "", "blank": " ", "space": "a b", "umlaut": "ä", "delete": "a\x7f", "long": "k" * 256}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
async def test_a_key_that_cannot_be_used_is_refused(http: httpx.AsyncClient, clerk: Client, key: str) -> None:
    headers = [*clerk.headers.items(), (KEY, key.encode("latin-1"))]

    refused = await http.post("/parcels", json={"label": "bad"}, headers=headers)

    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/malformed-idempotency-key")
    assert await clerk.count("bad") == 0


async def test_two_keys_are_none(http: httpx.AsyncClient, clerk: Client) -> None:
    headers = [*clerk.headers.items(), (KEY, "key-a"), (KEY, "key-b")]

    assert (await http.post("/parcels", json={"label": "two"}, headers=headers)).status_code == 400


async def test_the_longest_key_is_taken(clerk: Client) -> None:
    assert (await clerk.send("k" * 255, "longest")).status_code == 201


async def test_a_stranger_learns_nothing(http: httpx.AsyncClient, tokens: Tokens) -> None:
    without_token = await http.post("/parcels", json={}, headers={KEY: "key"})
    without_permission = await http.post("/parcels", json={}, headers=tokens.headers("platform") | {KEY: "key"})

    assert (without_token.status_code, without_permission.status_code) == (401, 403)


async def test_what_does_not_take_a_key_pays_no_heed_to_it(http: httpx.AsyncClient, clerk: Client) -> None:
    answers = [await http.post("/unkeyed", headers=clerk.headers | {KEY: "key-unkeyed"}) for _ in range(2)]

    assert answers[0].json() != answers[1].json()


async def test_a_caller_without_a_school_has_keys_too(http: httpx.AsyncClient, tokens: Tokens) -> None:
    school_id = new_id()
    caller = Client(http, tokens, role="platform", school_id=None)

    answers = [await caller.send("key-platform", "sent", f"/platform-parcels/{school_id}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    assert answers[0].json()["seen"] == 1
    assert (answers[1].content, answers[1].headers[REPLAYED]) == (answers[0].content, "true")
    elsewhere = await caller.send("key-platform", "sent", f"/platform-parcels/{new_id()}")
    assert elsewhere.status_code == 422


async def test_while_the_first_runs_the_second_is_told_so(
    clerk: Client, second_process: httpx.AsyncClient, office: Post
) -> None:
    """In the same process and in another one; neither holds the pool up meanwhile."""
    other = Client(second_process, Tokens())
    other.headers = clerk.headers
    first = asyncio.create_task(clerk.send("key-run", "run", how="wait"))
    await office.is_running.wait()

    running = await asyncio.gather(*(each.send("key-run", "run", how="wait") for each in (clerk, other) * 10))
    assert {(each.status_code, each.json()["type"]) for each in running} == {(409, "/problems/request-still-running")}
    assert running[0].headers["Retry-After"]
    office.go_on.set()

    assert (await first).status_code == 201
    assert (await other.send("key-run", "run", how="wait")).content == (await first).content


async def test_the_transaction_of_a_request_belongs_to_its_task_alone(clerk: Client, office: Post) -> None:
    """What a handler starts besides itself writes for itself, also when the request is long over."""
    answer = await clerk.send("key-task", "task", how="in the background")
    await asyncio.gather(*office.background)

    assert answer.status_code == 201
    assert await clerk.count("later task") == 1


async def test_a_request_that_is_given_up_leaves_nothing(stack: Stack, tokens: Tokens, office: Post) -> None:
    """Fifty are cancelled somewhere on their way: no half effects, no connection kept, no tenant left (bar B3)."""
    async with client_of(app_of(stack, tokens, office, database_pool_max=2)) as http:
        clerk = Client(http, tokens)
        for number in range(50):
            task = asyncio.create_task(clerk.send(f"key-cancel-{number}", "cancel"))
            await asyncio.sleep(number * 0.0002)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        answers = [await clerk.send(f"key-cancel-{number}", "cancel") for number in range(50)]

        assert {answer.status_code for answer in answers} == {201}
        assert await clerk.count("cancel") == 50
        assert await Client(http, tokens).count("cancel") == 0


async def test_a_key_is_forgotten_after_a_day(
    http: httpx.AsyncClient, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk = Client(http, tokens, exp=int(clock.now().timestamp()) + 3 * 86_400)
    first = await clerk.send("key-day", "day")
    monkeypatch.setattr(clock, "now", lambda now=clock.now: now() + KEPT - timedelta(minutes=1))
    assert (await clerk.send("key-day", "day")).content == first.content

    monkeypatch.setattr(clock, "now", lambda now=clock.now: now() + timedelta(minutes=2))
    later = await clerk.send("key-day", "day")

    assert (later.status_code, REPLAYED in later.headers) == (201, False)
    assert later.content != first.content
    assert await clerk.count("day") == 2


async def test_the_worker_forgets_what_is_over_and_reads_nothing(clerk: Client, stack: Stack) -> None:
    for number in range(3):
        await clerk.send(f"key-over-{number}", "over")
    with psycopg.connect(stack.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE school.idempotency SET expires_at = now() - interval '1 s' WHERE key = 'key-over-1'")
        async with Database(stack.settings(ServiceSettings, "school")) as database:
            await forget_old(database)
            async with database.transaction() as tx:
                assert await tx.value(int, "SELECT count(*) FROM idempotency") == 0
        left = admin.execute("SELECT key FROM school.idempotency WHERE key LIKE 'key-over-%' ORDER BY key").fetchall()

    assert left == [("key-over-0",), ("key-over-2",)]


async def test_a_claim_that_is_given_up_is_free(stack: Stack) -> None:
    claim = Claim(school_id=new_id(), user_id=new_id(), operation="o", key="k", fingerprint=b"f")
    answer = Answer(status=201, headers={}, body=b"{}")
    async with Database(stack.settings(ServiceSettings, "school")) as database:
        with suppress(LookupError):
            async with database.transaction(school_id=claim.school_id) as tx:
                await take(tx, claim)
                raise LookupError
        assert await answer_of(database, claim) is None
        async with database.transaction(school_id=claim.school_id) as tx:
            await take(tx, claim)
            await keep(tx, claim, answer)
        assert await answer_of(database, claim) == answer


async def test_a_commit_that_fails_is_told_and_tells_nothing(
    clerk: Client, http: httpx.AsyncClient, office: Post, monkeypatch: pytest.MonkeyPatch, stack: Stack
) -> None:
    """The connection goes between the effect and its commit."""

    async def cut(tx: Tx, claim: Claim, answer: Answer) -> None:
        pid = await tx.value(int, "SELECT pg_backend_pid()")
        with psycopg.connect(stack.admin_url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        await keep(tx, claim, answer)

    with monkeypatch.context() as patched:
        patched.setattr("shared.web.idempotency.keep", cut)
        refused = await clerk.send("key-cut", "cut")
    again = await clerk.send("key-cut", "cut")

    assert (refused.status_code, again.status_code) == (Unavailable.status, 201)
    assert await clerk.count("cut") == 1
    assert office.told == ["cut"]


async def test_the_document_declares_the_header(stack: Stack, tokens: Tokens, office: Post) -> None:
    paths = openapi_document(litestar_of(app_of(stack, tokens, office)))["paths"]

    def keyed(operation: Any) -> list[str]:
        return [each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"]

    assert keyed(paths["/parcels"]["post"]) == [KEY]
    assert not keyed(paths["/parcels"]["get"])
    assert not keyed(paths["/unkeyed"]["post"])
    assert "Idempotency-Replayed" in paths["/parcels"]["post"]["responses"]["201"]["headers"]
