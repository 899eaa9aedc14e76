"""Writing and sending announcements over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from services.communication.announcements import actions, queries
from services.communication.announcements.rules import (
    AudienceFrozen,
    NoSuchEnd,
    NoSuchTime,
    NotScheduled,
    NotToBeSent,
    NotYetSent,
    OfficeOnly,
    StaleAnnouncement,
    Withdrawn,
)
from services.communication.announcements.schemas import (
    Announcement,
    AnnouncementChange,
    AnnouncementSummary,
    AudienceRequest,
    CallBackRequest,
    NewAnnouncement,
    SendRequest,
    State,
    WrittenKey,
)
from services.communication.audiences.rules import NobodyToTell, OutsideYourClasses, UnknownInAudience
from services.communication.audiences.schemas import Preview
from services.communication.files.rules import FileNotReady, UnknownFile
from services.communication.settings import Settings
from shared import clock
from shared.database import Database
from shared.identity import Caller, Role
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import Forbidden, NotFound

WRITE = "announcement.write"

OfState = Annotated[State | None, QueryParameter(name="state", description="Only those in this state.")]


@post(
    "/",
    operation_id="add_announcement",
    summary="Write an announcement: a draft that nobody sees until it is sent.",
    opt={
        "permission": WRITE,
        "problems": (
            Forbidden,
            OutsideYourClasses,
            OfficeOnly,
            UnknownInAudience,
            NoSuchEnd,
            UnknownFile,
            FileNotReady,
        ),
    },
)
async def add_announcement(
    data: JSONBody[NewAnnouncement],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Announcement:
    return await actions.add(database, settings, caller, data, now=clock.now())


@post(
    "/preview",
    operation_id="preview_audience",
    summary="How many an audience comes to now, by role, with the first of them.",
    status_code=200,
    opt={"permission": WRITE, "problems": (Forbidden, OutsideYourClasses, UnknownInAudience)},
)
async def preview_audience(
    data: JSONBody[AudienceRequest], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Preview:
    return await actions.preview(database, caller, data.audience)


@get(
    "/written",
    operation_id="list_written_announcements",
    summary="The announcements that the caller may manage, newest first: of the school, or one's own.",
    opt={"permission": WRITE},
)
async def list_written_announcements(
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
    state_: OfState = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AnnouncementSummary]:
    after = decode_cursor(cursor, WrittenKey)
    found = await queries.written(
        database.reader(school_id=caller.school),
        school_id=caller.school,
        teacher_user_id=None if caller.role == Role.SCHOOL_ADMIN else caller.user_id,
        state=state_,
        before=after.announcement_id if after else None,
        limit=limit + 1,
    )
    return page(
        found,
        limit=limit,
        path="/api/v1/announcements/written",
        filters={"state": state_},
        key=lambda each: WrittenKey(each.announcement_id),
    )


@get(
    "/written/{announcement_id:uuid}",
    operation_id="show_written_announcement",
    summary="An announcement as it is managed: its audience, its state, its version.",
    opt={"permission": WRITE, "problems": (NotFound,)},
)
async def show_written_announcement(
    announcement_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> Announcement:
    return await actions.show(database.reader(school_id=caller.school), caller, announcement_id)


@patch(
    "/{announcement_id:uuid}",
    operation_id="edit_announcement",
    summary="Change an announcement. Once it went out, nobody hears of it unless `notify` says so.",
    opt={
        "permission": WRITE,
        "problems": (
            NotFound,
            StaleAnnouncement,
            Withdrawn,
            AudienceFrozen,
            NotYetSent,
            Forbidden,
            OutsideYourClasses,
            OfficeOnly,
            UnknownInAudience,
            NoSuchEnd,
            UnknownFile,
            FileNotReady,
        ),
    },
)
async def edit_announcement(
    announcement_id: FromPath[UUID],
    data: JSONBody[AnnouncementChange],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Announcement:
    return await actions.edit(database, settings, caller, announcement_id, data, now=clock.now())


@post(
    "/{announcement_id:uuid}/send",
    operation_id="send_announcement",
    summary="Send an announcement, now or at a time of the school's clock; its audience is resolved when it goes out.",
    status_code=200,
    opt={
        "permission": WRITE,
        "problems": (NotFound, StaleAnnouncement, NotToBeSent, NoSuchTime, NoSuchEnd, NobodyToTell),
    },
)
async def send_announcement(
    announcement_id: FromPath[UUID],
    data: JSONBody[SendRequest],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> Announcement:
    return await actions.send(database, caller, announcement_id, data, now=clock.now())


@post(
    "/{announcement_id:uuid}/call-back",
    operation_id="call_back_announcement",
    summary="Make an announcement that waits to go out a draft again.",
    status_code=200,
    opt={"permission": WRITE, "problems": (NotFound, StaleAnnouncement, NotScheduled)},
)
async def call_back_announcement(
    announcement_id: FromPath[UUID],
    data: JSONBody[CallBackRequest],
    database: NamedDependency[Database],
    caller: NamedDependency[Caller],
) -> Announcement:
    return await actions.call_back(database, caller, announcement_id, version=data.version)


@post(
    "/{announcement_id:uuid}/withdraw",
    operation_id="withdraw_announcement",
    summary="Take an announcement out of everybody's sight, whatever state it is in; again changes nothing.",
    status_code=200,
    opt={"permission": WRITE, "problems": (NotFound,)},
)
async def withdraw_announcement(
    announcement_id: FromPath[UUID],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Announcement:
    return await actions.withdraw(database, settings, caller, announcement_id, now=clock.now())


handlers = [
    add_announcement,
    preview_audience,
    list_written_announcements,
    show_written_announcement,
    edit_announcement,
    send_announcement,
    call_back_announcement,
    withdraw_announcement,
]
