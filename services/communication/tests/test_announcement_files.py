"""Files that hang on announcements."""

from typing import Any

import httpx
import pytest

from services.communication.settings import Settings
from services.communication.tests.announcing import GUARDIANS, STUDENTS, Board, Who, of_class
from services.communication.tests.factories import member
from services.communication.tests.files import FileSchool, pdf
from shared.identity import Role
from shared.ids import new_id
from shared.testing.stack import Stack
from shared.testing.tokens import Tokens
from tools.embedded.object_store import EmbeddedObjectStore


@pytest.fixture
def settings(stack: Stack, object_store: EmbeddedObjectStore) -> Settings:
    return stack.settings(Settings, "communication", s3_endpoint_url=object_store.url)


@pytest.fixture
def uploads(board: Board, tokens: Tokens) -> FileSchool:
    """Of the same school; its teacher is whoever is not named."""
    uploads = FileSchool(board.school.client, tokens)
    uploads.school_id = board.school.school_id
    return uploads


async def downloaded(board: Board, who: Who, announcement_id: str, file_id: str) -> bytes | int:
    answer = await board.ask("GET", f"/{announcement_id}/files/{file_id}", who)
    if answer.status_code != 200:
        return answer.status_code
    async with httpx.AsyncClient() as browser:
        return (await browser.get(answer.json()["url"])).content


async def test_whoever_received_it_has_its_files_and_nobody_else(board: Board, uploads: FileSchool) -> None:
    ada, byron = await board.school.student(), await board.school.student()
    class_id = await board.school.school_class(member(ada))
    file_id, other = await uploads.ready(pdf(700)), await uploads.ready()

    made = await board.sent(of_class(class_id, "student"), file_ids=[file_id])

    reader, stranger = board.student(ada), board.student(byron)
    (seen,) = (await board.did("GET", f"/{made}", reader))["files"]
    assert (seen["file_id"], seen["size_bytes"], seen["media_type"]) == (file_id, 700, "application/pdf")
    assert (await board.did("GET", "", reader))["items"][0]["files"] == [seen]
    assert await downloaded(board, reader, made, file_id) == pdf(700)
    assert await downloaded(board, board.office, made, file_id) == pdf(700)
    assert await downloaded(board, stranger, made, file_id) == 404
    assert await downloaded(board, reader, made, other) == 404
    assert await downloaded(board, reader, str(new_id()), file_id) == 404


async def test_what_is_withdrawn_gives_its_files_to_nobody_and_lets_them_go(board: Board, uploads: FileSchool) -> None:
    ada = await board.school.student()
    drafts, sent = [await uploads.ready()], [await uploads.ready(), await uploads.ready()]
    draft = (await board.draft(STUDENTS, file_ids=drafts))["announcement_id"]
    made = await board.sent(STUDENTS, file_ids=sent)
    elsewhere = await board.draft(STUDENTS, file_ids=sent[:1])

    withdrawn = [await board.did("POST", f"/{each}/withdraw") for each in (draft, made, made)]

    assert [each["files"] for each in withdrawn] == [[], [], []]
    for who in (board.student(ada), board.office):
        assert await downloaded(board, who, made, sent[0]) == 404
    assert await downloaded(board, board.office, draft, drafts[0]) == 404
    assert await downloaded(board, board.office, elsewhere["announcement_id"], sent[0]) == pdf()
    deleted = [(await uploads.ask("DELETE", f"/{each}")).status_code for each in (*drafts, *sent)]
    assert deleted == [204, 409, 204]


async def test_a_guardian_who_lost_the_child_has_its_files_no_more(board: Board, uploads: FileSchool) -> None:
    ada = await board.school.student()
    anne, bert = await board.school.guardian(ada), await board.school.guardian()
    link_id = await board.school.link(bert, ada)
    file_id = await uploads.ready()
    made = await board.sent(GUARDIANS, file_ids=[file_id])
    before = await downloaded(board, board.guardian(bert), made, file_id)

    await board.school.link(bert, ada, link_id=link_id, is_active=False, version=2)

    assert before == pdf()
    assert await downloaded(board, board.guardian(bert), made, file_id) == 404
    assert await downloaded(board, board.guardian(anne), made, file_id) == pdf()


async def test_a_file_of_a_draft_is_its_authors(board: Board, uploads: FileSchool) -> None:
    ada, teacher, colleague = await board.school.student(), await board.school.teacher(), await board.school.teacher()
    class_id = await board.school.school_class(member(ada), member(teacher, "teacher"), member(colleague, "teacher"))
    author = Who(Role.TEACHER, person_id=teacher, user_id=uploads.teacher_id)
    file_id = await uploads.ready(pdf(500))

    made = await board.draft(of_class(class_id, "student"), who=author, file_ids=[file_id])

    assert await downloaded(board, author, made["announcement_id"], file_id) == pdf(500)
    assert await downloaded(board, board.teacher(colleague), made["announcement_id"], file_id) == 404
    assert await downloaded(board, board.student(ada), made["announcement_id"], file_id) == 404


async def test_files_are_put_in_order_taken_off_and_put_on(board: Board, uploads: FileSchool) -> None:
    await board.school.student()
    first, second, third = [await uploads.ready() for _ in range(3)]
    made = await board.sent(STUDENTS, file_ids=[first, second])

    edited = await board.edit(made, file_ids=[third, first])

    assert [each["file_id"] for each in edited["files"]] == [third, first]
    assert edited["edited_at"] is not None
    assert (await board.written(made))["files"] == edited["files"]
    assert (await uploads.ask("DELETE", f"/{first}")).status_code == 409
    assert (await uploads.ask("DELETE", f"/{second}")).status_code == 204
    untouched = await board.edit(made, title="Ice")
    assert untouched["files"] == edited["files"]
    assert (await board.edit(made, file_ids=[]))["files"] == []


@pytest.mark.parametrize("whose", ["pending", "a colleague's", "nobody's"])
async def test_only_files_that_are_ones_own_and_ready_are_hung(board: Board, uploads: FileSchool, whose: str) -> None:
    school = board.school
    ada, teacher = await school.student(), await school.teacher()
    class_id = await school.school_class(member(ada), member(teacher, "teacher"))
    pending: Any = (await uploads.created())["file"]["id"]
    ids = {"pending": pending, "a colleague's": await uploads.ready(), "nobody's": str(new_id())}
    user_id = new_id() if whose == "a colleague's" else uploads.teacher_id
    author = Who(Role.TEACHER, person_id=teacher, user_id=user_id)
    audience = {"include": [of_class(class_id, "student")]}

    answer = await board.ask("POST", "", author, title="A", body="B", audience=audience, file_ids=[ids[whose]])

    assert answer.status_code in {409, 422}
    assert (await board.did("GET", "/written", author))["items"] == []
