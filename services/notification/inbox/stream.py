"""One reader's stream of server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Final
from uuid import UUID

import msgspec

from services.notification.inbox import queries, rules
from services.notification.inbox.live import READ, Hints, Streams
from services.notification.inbox.schemas import UnreadCount
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.ids import new_id

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = (1000, 5000)
"""When its reader comes again. All streams of a process end at once: not all of them shall come back at once."""
HEARTBEAT: Final = b": heartbeat\n\n"
BATCH: Final = 100
"""Missed notifications read at once."""


class InboxStream:
    """The events of one inbox until the token expires. Each has an id, so that a reader can resume anywhere."""

    def __init__(self, database: Database, streams: Streams, caller: Caller, last_event_id: UUID | None) -> None:
        self._database = database
        self._streams = streams
        self._caller = caller
        self._last_event_id = last_event_id
        self._school_id, self._recipient_id = caller.school, caller.recipient_id

    async def events(self) -> AsyncGenerator[bytes]:
        with self._streams.hints(self._school_id, self._recipient_id) as hints:
            yield b"retry: %d\n\n" % random.randint(*RETRY_MS)
            async for missed in self._missed():
                yield missed
            yield await self._unread_count()
            async for hint in self._hints(hints):
                yield await self._told(hint)

    async def _hints(self, hints: Hints) -> AsyncGenerator[str | None]:
        """Hints as they come, None for a heartbeat; ends with the token, or when something may have been missed."""
        while (left := rules.seconds_left(self._caller.expires_at, clock.now())) > 0:
            try:
                hint = await asyncio.wait_for(hints.get(), min(left, HEARTBEAT_S))
            except TimeoutError:
                yield None
                continue
            if hint is None:
                return
            yield hint

    async def _told(self, hint: str | None) -> bytes:
        if hint is None:
            return HEARTBEAT
        return (b"" if hint == READ else await self._notification(UUID(hint))) + await self._unread_count()

    async def _notification(self, notification_id: UUID) -> bytes:
        found = await queries.one_notification(
            self._database.reader(school_id=self._school_id),
            self._school_id,
            recipient_id=self._recipient_id,
            now=clock.now(),
            notification_id=notification_id,
        )
        return event("notification", found.notification_id, found) if found else b""

    async def _missed(self) -> AsyncGenerator[bytes]:
        after = rules.resume_after(self._last_event_id) if self._last_event_id else None
        while after is not None:
            found = await queries.inbox_since(
                self._database.reader(school_id=self._school_id),
                self._school_id,
                recipient_id=self._recipient_id,
                now=clock.now(),
                after=after,
                limit=BATCH,
            )
            for each in found:
                yield event("notification", each.notification_id, each)
            after = found[-1].notification_id if len(found) == BATCH else None

    async def _unread_count(self) -> bytes:
        position = new_id()
        count = await queries.unread_count(
            self._database.reader(school_id=self._school_id),
            self._school_id,
            recipient_id=self._recipient_id,
            now=clock.now(),
        )
        return event("unread_count", position, UnreadCount(unread_count=count))


def event(name: str, event_id: UUID, data: msgspec.Struct) -> bytes:
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name.encode(), str(event_id).encode(), msgspec.json.encode(data))
