"""What one has received, and who has read what one wrote, over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from services.communication.audiences.actions import FIRST
from services.communication.audiences.schemas import RecipientKey
from services.communication.files.rules import FileNotReady
from services.communication.files.schemas import Download
from services.communication.files.store import FileStore
from services.communication.receipts import actions, queries
from services.communication.receipts.schemas import ReadState, Receipt, Receipts, ReceivedAnnouncement, ReceivedKey
from services.communication.settings import Settings
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound

READ = "announcement.read"
WRITE = "announcement.write"

Unread = Annotated[bool, QueryParameter(description="Only what was not read yet.")]
OfReadState = Annotated[ReadState | None, QueryParameter(description="Only who has read it, or who has not.")]


@get(
    "/",
    operation_id="list_announcements",
    summary="The announcements that the caller has received: the pinned first, then the newest.",
    opt={"permission": READ},
)
async def list_announcements(
    *,
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    unread: Unread = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ReceivedAnnouncement]:
    reader = database.reader(school_id=caller.school)
    found = await queries.received(
        reader,
        school_id=caller.school,
        recipient_id=caller.recipient_id,
        role=caller.role,
        now=clock.now(),
        unread_only=unread,
        after=decode_cursor(cursor, ReceivedKey),
        limit=limit + 1,
    )
    return page(
        await actions.with_files(reader, caller, found),
        limit=limit,
        path="/api/v1/announcements",
        filters={"unread": "true" if unread else None},
        key=lambda each: ReceivedKey(each.is_pinned, each.sent_at, each.announcement_id),
    )


@get(
    "/{announcement_id:uuid}",
    operation_id="show_announcement",
    summary="An announcement that the caller has received; also one that is no longer listed.",
    opt={"permission": READ, "problems": (NotFound,)},
)
async def show_announcement(
    announcement_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> ReceivedAnnouncement:
    reader = database.reader(school_id=caller.school, is_fresh=True)  # it may have been withdrawn just now
    return await actions.show(reader, caller, announcement_id, now=clock.now())


@post(
    "/{announcement_id:uuid}/read",
    operation_id="read_announcement",
    summary="Mark an announcement as read; again changes nothing.",
    status_code=200,
    opt={
        "permission": READ,
        "unkeyed": "What is read stays read, and its text must not be kept beyond a withdrawal.",
        "problems": (NotFound,),
    },
)
async def read_announcement(
    announcement_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> ReceivedAnnouncement:
    return await actions.read(database, caller, announcement_id, now=clock.now())


@get(
    "/{announcement_id:uuid}/files/{file_id:uuid}",
    operation_id="show_announcement_file",
    summary="A URL that downloads a file of an announcement that the caller has received, for a few minutes.",
    opt={"permission": READ, "problems": (NotFound, FileNotReady)},
)
async def show_announcement_file(
    announcement_id: FromPath[UUID],
    file_id: FromPath[UUID],
    database: NamedDependency[Database],
    files: NamedDependency[FileStore],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Download:
    return await actions.show_file(database, files, settings, caller, announcement_id, file_id, now=clock.now())


@get(
    "/{announcement_id:uuid}/receipts",
    operation_id="show_announcement_receipts",
    summary="To how many an announcement went, in how many inboxes it stands, and how many have read it.",
    opt={"permission": WRITE, "problems": (NotFound,)},
)
async def show_announcement_receipts(
    announcement_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Receipts:
    return await actions.receipts(database.reader(school_id=caller.school), caller, announcement_id)


@get(
    "/{announcement_id:uuid}/recipients",
    operation_id="list_announcement_recipients",
    summary="Whom an announcement went to, by role and name; of a draft, whom it would go to now.",
    opt={"permission": WRITE, "problems": (NotFound,)},
)
async def list_announcement_recipients(
    announcement_id: FromPath[UUID],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    read_state: OfReadState = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Receipt]:
    found = await actions.recipients(
        database,
        caller,
        announcement_id,
        is_read=None if read_state is None else read_state == "read",
        after=decode_cursor(cursor, RecipientKey) or FIRST,
        limit=limit + 1,
        now=clock.now(),
    )
    return page(
        found,
        limit=limit,
        path=f"/api/v1/announcements/{announcement_id}/recipients",
        filters={"read_state": read_state},
        key=lambda each: RecipientKey(each.role, each.family_name, each.given_name, each.recipient_id),
    )


handlers = [
    list_announcements,
    show_announcement,
    read_announcement,
    show_announcement_file,
    show_announcement_receipts,
    list_announcement_recipients,
]
