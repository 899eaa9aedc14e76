"""What others are told of announcements that went out, and what they find when they ask for it all again."""

from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from services.communication.tests.announcing import GUARDIANS, STAFF, Board, Who
from shared import clock
from shared.contracts.communication import AnnouncementChanged, AnnouncementRead
from shared.contracts.envelope import event_type
from shared.contracts.snapshots import AnnouncementSnapshotRow
from shared.identity import Role
from shared.pages import Page
from shared.testing.bus import published

T = TypeVar("T")


def told(board: Board, event: type[T]) -> list[tuple[int, T]]:
    """With the versions under which they were told."""
    return [
        (each.version, msgspec.json.decode(each.data, type=event))
        for each in published(board.stack.database_url("communication"), board.school.school_id)
        if each.type == event_type(event)  # pyright: ignore[reportArgumentType]
    ]


async def snapshot(board: Board, kind: str) -> list[tuple[int, Any]]:
    answer = await board.school.client.get(
        f"/internal/snapshot?school_id={board.school.school_id}&kind={kind}",
        headers=board.school.tokens.service_headers("school"),
    )
    assert answer.status_code == 200, answer.text
    items = msgspec.json.decode(answer.content, type=Page[AnnouncementSnapshotRow]).items
    return [(each.version, each.data) for each in items]


async def test_what_goes_out_is_told_and_a_draft_is_not(board: Board) -> None:
    await board.school.guardian(await board.school.student())
    await board.draft(GUARDIANS)
    made = await board.sent(GUARDIANS)

    ((version, change),) = told(board, AnnouncementChanged)

    assert (str(change.announcement_id), change.edition, change.expires_at, change.is_withdrawn) == (
        made,
        1,
        None,
        False,
    )
    assert await snapshot(board, "announcements") == [(version, change)]


async def test_a_change_is_told_when_it_changes_what_readers_see(board: Board) -> None:
    await board.school.guardian(await board.school.student())
    made = await board.sent(GUARDIANS)
    end = clock.now() + timedelta(days=1)

    await board.edit(made, pinned_until=end.isoformat())
    assert len(told(board, AnnouncementChanged)) == 1

    await board.edit(made, title="Ice")
    await board.edit(made, expires_at=end.isoformat())
    await board.edit(made, body="Read this again.", notify=True)
    await board.work()
    version = (await board.written(made))["version"]
    await board.did("POST", f"/{made}/withdraw", version=version)

    changes = [change for _, change in told(board, AnnouncementChanged)]
    assert [(each.edition, each.title, each.expires_at, each.is_withdrawn) for each in changes] == [
        (1, "Snow", None, False),
        (1, "Ice", None, False),
        (1, "Ice", end, False),
        (2, "Ice", end, False),
        (2, "Ice", end, True),
    ]
    versions = [version for version, _ in told(board, AnnouncementChanged)]
    assert versions == sorted(set(versions))
    assert await snapshot(board, "announcements") == [(versions[-1], changes[-1])]


async def test_what_staff_read_is_told_once_an_edition_and_what_families_read_to_nobody(board: Board) -> None:
    teacher, anne = await board.school.teacher(), await board.school.guardian(await board.school.student())
    office = Who(Role.SCHOOL_ADMIN, user_id=await board.school.admin())
    made = await board.sent(GUARDIANS, STAFF)

    for who in (board.teacher(teacher), office, board.teacher(teacher), board.guardian(anne)):
        await board.did("POST", f"/{made}/read", who)

    readings = [(version, each.recipient_id, each.role) for version, each in told(board, AnnouncementRead)]
    assert readings == [(1, teacher, "teacher"), (1, office.recipient_id, "school_admin")]
    receipts = await snapshot(board, "receipts")
    assert {(version, each.recipient_id, each.role) for version, each in receipts} == set(readings)
