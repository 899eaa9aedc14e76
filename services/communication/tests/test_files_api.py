"""Files go from the browser to the object store and back; the service says where, and what became of them."""

import asyncio
import re
import time
from urllib.parse import quote, unquote
from uuid import UUID

import httpx
import psycopg
import pytest

from services.communication.files import actions
from services.communication.files.rules import PART_BYTES
from services.communication.files.store import FileStore
from services.communication.settings import Settings
from services.communication.tests.files import (
    DOCX,
    MEGABYTE,
    PDF,
    PNG,
    FileSchool,
    archive,
    docx,
    get,
    pdf,
    png,
    put,
    put_all,
)
from shared.contracts.communication import FileReady, FileRejected
from shared.contracts.envelope import event_type
from shared.database import Database
from shared.identity import Caller, Role
from shared.ids import new_id
from shared.problems import NotFound, Problem
from shared.testing.bus import published
from shared.testing.http import client_of
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tools.embedded.object_store import EmbeddedObjectStore

QUOTA = 30 * MEGABYTE


@pytest.fixture
def settings(stack: Stack, object_store: EmbeddedObjectStore) -> Settings:
    return stack.settings(
        Settings, "communication", s3_endpoint_url=object_store.url, file_quota_bytes=QUOTA, file_max_pending=15
    )


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


async def test_a_small_file_goes_up_in_one_piece_and_comes_down_under_its_name(files: FileSchool) -> None:
    content = pdf(1000)
    made = await files.created(1000, name="Übung 3.pdf")

    await put_all(made["upload"], content)
    completed = await files.complete(made["file"]["id"])
    downloaded = await files.download(made["file"]["id"])

    assert len(made["upload"]["parts"]) == 1
    assert completed == {**made["file"], "state": "ready"}
    assert downloaded.content == content
    assert downloaded.headers["content-type"] == PDF
    assert downloaded.headers["content-disposition"].startswith("attachment; ")
    assert unquote(downloaded.headers["content-disposition"].rpartition("UTF-8''")[2]) == "Übung 3.pdf"


async def test_ten_megabytes_go_up_in_parts_and_go_on_where_they_broke_off(
    files: FileSchool, object_store: EmbeddedObjectStore
) -> None:
    content = pdf(10 * MEGABYTE)
    made = await files.created(len(content))
    file_id, first = made["file"]["id"], made["upload"]["parts"][0]
    await put(first["url"], content[: first["size_bytes"]])
    with pytest.raises(httpx.WriteError):  # the connection breaks in the middle of the second part
        await _put_half(made["upload"]["parts"][1]["url"], content[PART_BYTES:], object_store)

    too_early = await files.ask("POST", f"/{file_id}/complete")
    resumed = (await files.ask("GET", f"/{file_id}/upload")).json()
    await put_all(resumed, content)
    completed = await files.complete(file_id)

    assert problem(too_early) == (409, "upload-incomplete")
    assert too_early.json()["missing_parts"] == [2]
    assert [part["url"] is None for part in resumed["parts"]] == [True, False]
    assert completed["state"] == "ready"
    assert (await files.download(file_id)).content == content


async def _put_half(url: str, content: bytes, object_store: EmbeddedObjectStore) -> None:
    """Says how much will come, sends half of it, and is gone."""
    target = httpx.URL(url)
    _, writer = await asyncio.open_connection("127.0.0.1", object_store.port)
    head = f"PUT {target.raw_path.decode()} HTTP/1.1\r\nHost: {target.netloc.decode()}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[: len(content) // 2])
    await writer.drain()
    writer.transport.abort()
    raise httpx.WriteError("gone")


async def test_an_upload_of_which_all_is_there_has_nothing_left_to_send(files: FileSchool) -> None:
    small, large = pdf(), pdf(9 * MEGABYTE)
    ids = [await files.uploaded(small), await files.uploaded(large)]

    uploads = [(await files.ask("GET", f"/{file_id}/upload")).json() for file_id in ids]

    assert [[part["url"] for part in upload["parts"]] for upload in uploads] == [[None], [None, None]]


async def test_a_store_that_forgot_an_upload_gets_a_new_one(files: FileSchool, store: FileStore, stack: Stack) -> None:
    """The embedded store keeps unfinished uploads in memory; others drop them after some days."""
    content = pdf(9 * MEGABYTE)
    made = await files.created(len(content))
    with psycopg.connect(stack.admin_url) as connection:
        sql = "SELECT upload_id FROM communication.file WHERE file_id = %s"
        row = connection.execute(sql, (made["file"]["id"],)).fetchone()
        assert row is not None
    await store.abort_upload(f"school/{files.school_id}/quarantine/{made['file']['id']}", row[0])

    again = (await files.ask("GET", f"/{made['file']['id']}/upload")).json()
    await put_all(again, content)

    assert (await files.complete(made["file"]["id"]))["state"] == "ready"


@pytest.mark.parametrize("how_large", ["in one piece", "in parts"])
async def test_the_store_takes_exactly_what_was_announced(files: FileSchool, how_large: str) -> None:
    content = pdf(400 if how_large == "in one piece" else 9 * MEGABYTE)
    made = await files.created(len(content))
    part, headers = made["upload"]["parts"][0], made["upload"]["headers"]
    body = content[: part["size_bytes"]]
    forged = re.sub(r"Signature=.{4}", "Signature=beef", part["url"])
    elsewhere = part["url"].replace(made["file"]["id"], str(new_id()))
    longer = part["url"].replace("X-Amz-Expires=900", "X-Amz-Expires=90000")

    refused = [
        await is_refused(part["url"], body + b"x", headers),
        await is_refused(part["url"], body[:-1], headers),
        await is_refused(forged, body, headers),
        await is_refused(elsewhere, body, headers),
        await is_refused(longer, body, headers),
        await is_refused(part["url"].partition("?")[0], body, headers),
    ]
    shown = (await files.ask("GET", f"/{made['file']['id']}/upload")).json()

    assert refused == [True] * 6
    assert shown["parts"][0]["url"] is not None
    assert (await put(part["url"], body, headers)).status_code == 200


async def is_refused(url: str, content: bytes, headers: dict[str, str]) -> bool:
    """Whether the store says no, or hangs up on what is too much to read on."""
    try:
        return (await put(url, content, headers)).is_client_error
    except (httpx.ReadError, httpx.WriteError):
        return True


async def test_the_store_takes_no_other_type_than_was_announced(files: FileSchool) -> None:
    (part,) = (await files.created(400))["upload"]["parts"]

    answers = [await put(part["url"], pdf(), {"Content-Type": other}) for other in ("text/html", "image/png")]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_an_upload_url_expires(stack: Stack, object_store: EmbeddedObjectStore, tokens: Tokens) -> None:
    brief = stack.settings(Settings, "communication", s3_endpoint_url=object_store.url, file_upload_url_s=1)
    async with client_of(_app(brief, tokens)) as client:
        made = await FileSchool(client, tokens).created(400)
    await asyncio.sleep(2.5)

    answer = await put(made["upload"]["parts"][0]["url"], pdf(), made["upload"]["headers"])

    assert answer.is_client_error


async def test_a_download_url_expires_and_cannot_be_changed(
    stack: Stack, object_store: EmbeddedObjectStore, tokens: Tokens
) -> None:
    brief = stack.settings(Settings, "communication", s3_endpoint_url=object_store.url, file_download_url_s=4)
    async with client_of(_app(brief, tokens)) as client:
        files = FileSchool(client, tokens)
        file_id, other_id = await files.ready(), await files.ready()
        url = (await files.ask("GET", f"/{file_id}/download")).json()["url"]
        changed = [
            url.replace("attachment", "inline"),
            url.replace(quote(PDF, safe=""), "text%2Fhtml"),
            url.replace(file_id, other_id),
            url.partition("?")[0],
        ]
        good = await get(url)
        refused = [await get(each) for each in changed]
        await asyncio.sleep(5.5)

        assert good.status_code == 200
        assert len({url, *changed}) == 5
        assert {answer.is_client_error for answer in refused} == {True}
        assert (await get(url)).is_client_error


def _app(settings: Settings, tokens: Tokens):
    from services.communication.app import create_app  # noqa: PLC0415

    return create_app(settings, tokens.verifier)


BOMB = png(50_000, 50_000)
CROWDED = docx(**{str(number): b"" for number in range(5_001)})


@pytest.mark.parametrize(
    ("media_type", "content", "fault"),
    [
        pytest.param(PNG, b"<html><script>alert(1)</script></html>", "wrong_type", id="html as a picture"),
        pytest.param(PNG, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "wrong_type", id="svg as a picture"),
        pytest.param(PNG, b"MZ\x90\0" + bytes(400), "wrong_type", id="a program as a picture"),
        pytest.param(PNG, pdf(), "wrong_type", id="a document as a picture"),
        pytest.param(PNG, png() + archive({"a.class": b"x"}), "mixed_types", id="a picture that is an archive too"),
        pytest.param(PNG, png(extra=b"c\0<script>alert(1)</script>"), "mixed_types", id="a picture with a script"),
        pytest.param(PNG, BOMB, "too_many_pixels", id="a picture that fills the memory"),
        pytest.param(PDF, b"\x7fELF" + bytes(400), "wrong_type", id="a program as a document"),
        pytest.param(PDF, b"<script>/*" + pdf(), "wrong_type", id="a script before a document"),
        pytest.param(PDF, pdf() + archive({"a": b"x"}) + b"%%EOF", "mixed_types", id="a document that is an archive"),
        pytest.param("text/plain", b"\xef\xbb\xbf <!DOCTYPE html><p>", "mixed_types", id="html as text"),
        pytest.param("text/csv", b"MZ\x90\0\x03", "wrong_type", id="a program as a table"),
        pytest.param(DOCX, archive({"42.txt": b"0" * 1000}), "wrong_type", id="an archive as a document"),
        pytest.param(DOCX, docx(**{"word/vbaProject.bin": b"x"}), "has_macros", id="a document with macros"),
        pytest.param(DOCX, CROWDED, "unpacks_too_large", id="a document that unpacks without an end"),
    ],
)
async def test_what_is_not_what_it_says_is_never_downloadable(
    files: FileSchool, stack: Stack, media_type: str, content: bytes, fault: str
) -> None:
    file_id = await files.uploaded(content, media_type=media_type)

    completed = await files.complete(file_id)
    again = await files.complete(file_id)
    download = await files.ask("GET", f"/{file_id}/download")

    assert (completed["state"], completed["rejected_because"]) == ("rejected", fault)
    assert again == completed
    assert problem(download) == (409, "file-not-ready")
    (event,) = published(stack.database_url("communication"), files.school_id)
    assert event.type == event_type(FileRejected)
    assert used_bytes(stack, files) == 0


async def test_it_is_told_once_that_a_file_is_ready(files: FileSchool, stack: Stack) -> None:
    file_id = await files.ready()
    await files.complete(file_id)

    (event,) = published(stack.database_url("communication"), files.school_id)

    assert (event.type, event.subject) == (event_type(FileReady), file_id)


@pytest.mark.parametrize(
    ("asked", "clean"),
    [
        ("../../etc/passwd", "passwd.pdf"),
        ("..\\..\\setup.exe", "setup.exe.pdf"),
        ("a\u0000b\r\nc.pdf", "ab c.pdf"),
        ("report\u202efdp.exe", "reportfdp.exe.pdf"),
        ("CON.pdf", "file CON.pdf"),
        ("...", "file.pdf"),
        ('a"; filename=evil.html', "a_; filename=evil.html.pdf"),
        ("Schulfest – Plan.PDF", "Schulfest – Plan.PDF"),
    ],
    ids=range(8),
)
async def test_a_name_is_one_that_can_be_saved(files: FileSchool, asked: str, clean: str) -> None:
    assert (await files.created(name=asked))["file"]["name"] == clean


async def test_what_is_not_taken_is_refused_before_it_is_sent(files: FileSchool) -> None:
    answers = [
        await files.create(media_type="image/svg+xml"),
        await files.create(media_type="text/html"),
        await files.create(51 * MEGABYTE),
        await files.create(0),
        await files.create(2**62),
        await files.create(name=""),
    ]

    assert [problem(answer)[0] for answer in answers] == [422, 422, 413, 400, 400, 400]
    assert problem(answers[0])[1] == "file-type-not-allowed"
    assert answers[2].json()["max_bytes"] == 50 * MEGABYTE


async def test_parallel_uploads_never_take_more_than_the_quota(files: FileSchool, stack: Stack) -> None:
    """Twenty at once, by ten people, where there is room for ten."""
    people = [new_id() for _ in range(10)]
    answers = await asyncio.gather(*(files.create(3 * MEGABYTE, user_id=people[number % 10]) for number in range(20)))

    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 10
    assert used_bytes(stack, files) == QUOTA
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert (refused["type"], refused["quota_bytes"], refused["used_bytes"]) == (
        "/problems/file-quota-exceeded",
        QUOTA,
        QUOTA,
    )
    deleted = next(answer.json()["file"]["id"] for answer in answers if answer.status_code == 201)
    assert (await files.ask("DELETE", f"/{deleted}", role=Role.SCHOOL_ADMIN)).status_code == 204
    assert (await files.create(3 * MEGABYTE)).status_code == 201


async def test_one_school_does_not_fill_another(files: FileSchool) -> None:
    other = FileSchool(files.client, files.tokens)
    await files.created(QUOTA)

    assert problem(await files.create(1)) == (409, "file-quota-exceeded")
    assert (await other.create(QUOTA)).status_code == 201


async def test_nobody_begins_uploads_without_end(files: FileSchool) -> None:
    for _ in range(15):
        await files.created()

    assert problem(await files.create()) == (409, "too-many-pending-files")
    assert (await files.create(user_id=new_id())).status_code == 201


async def test_nobody_takes_the_schools_room_alone_with_what_nothing_uses(
    stack: Stack, tokens: Tokens, object_store: EmbeddedObjectStore, database: Database
) -> None:
    """Whoever fills their share, with or without sending a byte, leaves others room; what is used counts no more."""
    share = {"file_max_bytes": 5 * MEGABYTE, "file_max_unused_bytes": 10 * MEGABYTE}
    settings = stack.settings(Settings, "communication", s3_endpoint_url=object_store.url, **share)
    async with client_of(_app(settings, tokens)) as client:
        files = FileSchool(client, tokens)
        ready = await files.ready(pdf(5 * MEGABYTE))

        answers = await asyncio.gather(*(files.create(3 * MEGABYTE) for _ in range(5)))
        refused = [answer.json() for answer in answers if answer.status_code == 409]
        colleague = await files.create(5 * MEGABYTE, user_id=new_id())
        async with database.transaction(school_id=files.school_id) as tx:
            who = caller(files)
            await actions.attach(tx, who, used_by_kind="announcement", used_by_id=new_id(), file_ids=[UUID(ready)])
        after_use = await files.create(3 * MEGABYTE)

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {each["type"] for each in refused} == {"/problems/too-much-unused"}
    assert {(each["max_unused_bytes"], each["unused_bytes"]) for each in refused} == {(10 * MEGABYTE, 8 * MEGABYTE)}
    assert (colleague.status_code, after_use.status_code) == (201, 201)


async def test_the_office_sees_how_much_room_is_taken(files: FileSchool) -> None:
    before = await files.ask("GET", "/usage", role=Role.SCHOOL_ADMIN)
    await files.created(3 * MEGABYTE)
    after = await files.ask("GET", "/usage", role=Role.SCHOOL_ADMIN)
    elsewhere = await FileSchool(files.client, files.tokens).ask("GET", "/usage", role=Role.SCHOOL_ADMIN)

    assert before.json() == elsewhere.json() == {"used_bytes": 0, "quota_bytes": QUOTA}
    assert after.json() == {"used_bytes": 3 * MEGABYTE, "quota_bytes": QUOTA}
    for role in (Role.TEACHER, Role.GUARDIAN, Role.STUDENT, Role.PLATFORM_ADMIN):
        assert (await files.ask("GET", "/usage", role=role)).status_code == 403
    assert (await files.client.get("/api/v1/files/usage")).status_code == 401


PATHS = [("GET", ""), ("GET", "/upload"), ("POST", "/complete"), ("GET", "/download"), ("DELETE", "")]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_file_is_its_uploaders_and_the_offices(files: FileSchool, method: str, path: str) -> None:
    file_id = await files.ready()
    elsewhere = FileSchool(files.client, files.tokens)
    strangers = [
        await files.ask(method, f"/{file_id}{path}", user_id=new_id()),
        await files.ask(method, f"/{file_id}{path}", role=Role.GUARDIAN, user_id=new_id()),
        await elsewhere.ask(method, f"/{file_id}{path}", user_id=files.teacher_id),
        await elsewhere.ask(method, f"/{file_id}{path}", role=Role.SCHOOL_ADMIN),
        await files.ask(method, f"/{new_id()}{path}"),
    ]
    bodies = {re.sub(rb'"trace_id":"\w+"', b"", answer.content) for answer in strangers}

    assert [answer.status_code for answer in strangers] == [404] * 5
    assert len(bodies) == 1
    assert (await files.ask(method, f"/{file_id}{path}", role=Role.STUDENT)).status_code == 403
    assert (await files.ask(method, f"/{file_id}{path}", role=Role.PLATFORM_ADMIN)).status_code == 403
    assert (await files.client.request(method, f"/api/v1/files/{file_id}{path}")).status_code == 401
    assert (await files.ask(method, f"/{file_id}{path}", role=Role.SCHOOL_ADMIN)).status_code < 410


@pytest.mark.parametrize("role", [Role.STUDENT, Role.PLATFORM_ADMIN])
async def test_not_everybody_may_upload(files: FileSchool, role: str) -> None:
    assert (await files.create(role=role)).status_code == 403
    assert (await files.ask("GET", "", role=role)).status_code == 403
    assert (await files.client.post("/api/v1/files", json={})).status_code == 401
    assert (await files.client.get("/api/v1/files")).status_code == 401


async def test_everybody_lists_their_own_and_the_office_all(files: FileSchool) -> None:
    mine = [(await files.created())["file"]["id"] for _ in range(3)]
    others = (await files.created(user_id=new_id(), role=Role.GUARDIAN))["file"]["id"]

    first = (await files.ask("GET", "?limit=2")).json()
    second = (await files.ask("GET", first["next"].removeprefix("/api/v1/files"))).json()
    office = (await files.ask("GET", "", role=Role.SCHOOL_ADMIN, user_id=new_id())).json()

    assert [each["id"] for each in first["items"] + second["items"]] == mine[::-1]
    assert second["next"] is None
    assert [each["id"] for each in office["items"]] == [others, *mine[::-1]]


async def test_a_file_in_use_stays_until_it_is_taken_off(
    files: FileSchool, database: Database, settings: Settings
) -> None:
    file_id = await files.ready()
    use = {"used_by_kind": "announcement", "used_by_id": new_id(), "file_ids": [UUID(file_id)]}
    async with database.transaction(school_id=files.school_id) as tx:
        await actions.attach(tx, caller(files), **use)

    refused = await files.ask("DELETE", f"/{file_id}")
    async with database.transaction(school_id=files.school_id) as tx:
        await actions.detach(tx, settings, files.school_id, **use)
    deleted = await files.ask("DELETE", f"/{file_id}")

    assert problem(refused) == (409, "file-in-use")
    assert deleted.status_code == 204
    assert (await files.ask("GET", f"/{file_id}")).status_code == 404


@pytest.mark.parametrize(
    ("whose", "slug"),
    [
        ("pending", "file-not-ready"),
        ("a colleague's", "unknown-file"),
        ("another school's", "unknown-file"),
        ("nobody's", "unknown-file"),
    ],
)
async def test_only_ones_own_ready_files_can_be_attached(
    files: FileSchool, database: Database, whose: str, slug: str
) -> None:
    elsewhere = FileSchool(files.client, files.tokens)
    ids = {
        "pending": (await files.created())["file"]["id"],
        "a colleague's": await files.ready(),
        "another school's": await elsewhere.ready(),
        "nobody's": new_id(),
    }
    who = caller(files, user_id=new_id() if whose == "a colleague's" else files.teacher_id)

    with pytest.raises(Problem) as refused:
        async with database.transaction(school_id=files.school_id) as tx:
            await actions.attach(
                tx, who, used_by_kind="announcement", used_by_id=new_id(), file_ids=[UUID(str(ids[whose]))]
            )

    assert refused.value.slug == slug


async def test_other_rooms_get_a_url_for_whom_their_own_guards_let_in(
    files: FileSchool, database: Database, store: FileStore, settings: Settings
) -> None:
    file_id = await files.ready(pdf(700))
    reader = database.reader(school_id=files.school_id)

    download = await actions.download_url(reader, store, settings, files.school_id, UUID(file_id))

    assert (await get(download.url)).content == pdf(700)
    with pytest.raises(NotFound):
        await actions.download_url(reader, store, settings, files.school_id, new_id())


async def test_a_store_that_does_not_answer_costs_nothing_but_time(
    stack: Stack, tokens: Tokens, object_store: EmbeddedObjectStore
) -> None:
    """Small files are announced without it; what needs it says 503 and can be asked again."""
    nowhere = stack.settings(Settings, "communication", s3_public_endpoint_url=object_store.url)
    async with client_of(_app(nowhere, tokens)) as client:
        files = FileSchool(client, tokens)
        made = await files.created()
        begun = time.monotonic()
        refused = await files.ask("POST", f"/{made['file']['id']}/complete")

    assert problem(refused) == (503, "unavailable")
    assert time.monotonic() - begun < 60
    assert made["upload"]["parts"][0]["url"].startswith(object_store.url)


def caller(files: FileSchool, **who: object) -> Caller:
    fields = {"user_id": files.teacher_id, "role": Role.TEACHER, **who}
    return Caller(session_id=new_id(), expires_at=0, issued_at=0, school_id=files.school_id, **fields)  # pyright: ignore[reportArgumentType]


def used_bytes(stack: Stack, files: FileSchool) -> int:
    sql = "SELECT used_bytes FROM communication.file_usage WHERE school_id = %s"
    with psycopg.connect(stack.admin_url) as connection:
        row = connection.execute(sql, (files.school_id,)).fetchone()
    assert row is not None
    return row[0]
