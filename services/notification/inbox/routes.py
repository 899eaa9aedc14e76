"""The caller's own inbox."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from services.notification.inbox import actions, queries
from services.notification.inbox.live import Announcer, Streams
from services.notification.inbox.schemas import InboxKey, Notification, UnreadCount
from services.notification.inbox.stream import InboxStream
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound

OWN = {"permission": "inbox.own"}
READ_TWICE = "What is read stays read."

Unread = Annotated[bool, QueryParameter(description="Only what was not read yet.")]
Child = Annotated[UUID | None, QueryParameter(description="Only what is about this child.")]
LastEventId = Annotated[
    UUID | None, HeaderParameter(name="last-event-id", description="Sent by browsers that come again.")
]


@get("/", operation_id="list_inbox", summary="The caller's notifications, newest first.", opt=OWN)
async def list_inbox(
    *,
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    unread: Unread = False,
    student_id: Child = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Notification]:
    after = decode_cursor(cursor, InboxKey)
    found = await queries.inbox(
        database.reader(school_id=caller.school),
        caller.school,
        recipient_id=caller.recipient_id,
        now=clock.now(),
        unread_only=unread,
        student_id=student_id,
        before=after.notification_id if after else None,
        limit=limit + 1,
    )
    filters = {"unread": "true" if unread else None, "student_id": student_id}
    return page(
        found, limit=limit, path="/api/v1/inbox", filters=filters, key=lambda each: InboxKey(each.notification_id)
    )


@get("/unread-count", operation_id="count_unread", summary="How many notifications were not read yet.", opt=OWN)
async def count_unread(database: NamedDependency[Database], caller: NamedDependency[Caller]) -> UnreadCount:
    count = await queries.unread_count(
        database.reader(school_id=caller.school), caller.school, recipient_id=caller.recipient_id, now=clock.now()
    )
    return UnreadCount(unread_count=count)


@post(
    "/{notification_id:uuid}/read",
    operation_id="read_notification",
    summary="Mark one notification as read; again changes nothing.",
    status_code=200,
    opt={**OWN, "unkeyed": READ_TWICE, "problems": (NotFound,)},
)
async def read_notification(
    notification_id: FromPath[UUID],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
    caller: NamedDependency[Caller],
) -> UnreadCount:
    return await actions.read_one(
        database, announcer, caller.school, recipient_id=caller.recipient_id, notification_id=notification_id
    )


@post(
    "/read-all",
    operation_id="read_inbox",
    summary="Mark all notifications as read.",
    status_code=200,
    opt={**OWN, "unkeyed": READ_TWICE},
)
async def read_inbox(
    database: NamedDependency[Database], announcer: NamedDependency[Announcer], caller: NamedDependency[Caller]
) -> UnreadCount:
    return await actions.read_all(database, announcer, caller.school, recipient_id=caller.recipient_id)


@get(
    "/stream",
    operation_id="stream_inbox",
    summary="Server-sent events: `unread_count` at once and after each change, `notification` for each new one.",
    media_type="text/event-stream",
    opt=OWN,
)
async def stream_inbox(
    database: NamedDependency[Database],
    streams: NamedDependency[Streams],
    caller: NamedDependency[Caller],
    last_event_id: LastEventId = None,
) -> Stream:
    stream = InboxStream(database, streams, caller, last_event_id)
    return Stream(stream.events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


router = Router("/api/v1/inbox", route_handlers=[list_inbox, count_unread, read_notification, read_inbox, stream_inbox])
