"""The morning rush: a thousand people, three hundred of them at once, each doing what their role does at 08:30."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import httpx

from bench.calls import DOWNLOAD, FOLLOWED, GUARDIAN_DAY, LETTER_UPLOAD, LOOK_ON, OFFICE_DAY, TEACHER_DAY, UPLOAD
from bench.client import Failed, FrontEnd
from bench.crowd import Crowd
from bench.house import PASSWORD, User
from bench.measures import Times
from shared.http_pool import Pool, PoolLimits, UpstreamError

THINK_S: Final = (1.0, 4.0)
"""Between two calls a person looks at the screen."""
ARRIVE_S: Final = 30.0
"""Over which those of the first wave arrive; from then on one comes whenever one leaves."""
LOOK_S: Final = 0.1
FOLLOWED_WITHIN_S: Final = 30.0
"""A day that does not show by then what was saved never will; that is counted as a failure."""
SLACK_S: Final = 5.0
"""So much longer than asked the places are kept taken: the last of the first wave are a moment late."""


def _pdf(size_bytes: int) -> bytes:
    return b"%PDF-1.7\n".ljust(size_bytes - 6, b"\n") + b"%%EOF\n"


LETTER: Final = _pdf(200 * 1024)
WORKSHEETS: Final = _pdf(10 * 1024 * 1024)


class Rush:
    """`at_once` of the users are at it at any moment, until everybody was and the first wave has stayed `hold_s`."""

    def __init__(
        self, gateway_url: str, objects_url: str, users: Sequence[User], *, at_once: int, hold_s: float
    ) -> None:
        self._users = list(users)
        self._at_once = at_once
        self._hold_s = hold_s
        limits = PoolLimits(connections=at_once, waiting=2 * at_once, wait_s=30, connect_s=10)
        self._pool, self._objects = Pool(gateway_url, limits), Pool(objects_url, limits)
        self._waiting = 0
        self._stay_until = 0.0
        self.times = Times()
        self.crowd = Crowd()
        self.signed_in: list[User] = []
        self.absent: set[str] = set()
        """Students whom a register that was saved called absent: each of their guardians is to hear of it once."""
        self.failures: Counter[str] = Counter()
        self.busy_s = 0.0
        """How long people were at it, all together: seconds of sessions."""

    async def play(self) -> float:
        """How long it took, in seconds."""
        random.shuffle(self._users)
        places = asyncio.Semaphore(self._at_once)
        began = time.perf_counter()
        self._stay_until = began + ARRIVE_S + self._hold_s + SLACK_S
        async with asyncio.TaskGroup() as everybody:
            for number, user in enumerate(self._users):
                arrives_s = ARRIVE_S * min(1.0, number / self._at_once)
                everybody.create_task(self._come(user, places, began + arrives_s))
        self._pool.close()
        self._objects.close()
        return time.perf_counter() - began

    async def _come(self, user: User, places: asyncio.Semaphore, arrives: float) -> None:
        await asyncio.sleep(max(0.0, arrives - time.perf_counter()))
        self._waiting += 1
        async with places:
            self._waiting -= 1
            try:
                await self._be_there(user)
            except (Failed, UpstreamError, httpx.HTTPError) as error:
                self.failures[f"{user.role}: {type(error).__name__} {error}"[:300]] += 1

    async def _be_there(self, user: User) -> None:
        """In the middle of a morning is who has signed in; what goes before is waiting at the door."""
        began = time.perf_counter()
        person = Person(FrontEnd(self._pool, self._objects, self.times, user.ip), user, self.absent)
        await person.sign_in()
        self.signed_in.append(user)
        self.crowd.enter(time.perf_counter())
        try:
            async with person.looking_on():
                await person.morning()
                while self._may_stay():
                    await person.look_again()
        finally:
            self.crowd.leave(time.perf_counter())
            self.busy_s += time.perf_counter() - began

    def _may_stay(self) -> bool:
        """Who has done everything keeps an eye on the day, unless somebody waits for the place."""
        return self._waiting == 0 and time.perf_counter() < self._stay_until


class Person:
    def __init__(self, front_end: FrontEnd, user: User, absent: set[str]) -> None:
        self._ask, self._user, self._absent = front_end, user, absent

    async def sign_in(self) -> None:
        await self._ask.sign_in(self._user.address, PASSWORD)

    @asynccontextmanager
    async def looking_on(self) -> AsyncGenerator[None]:
        """A page that is open is told live what is new. Raises what ended that."""
        looking = asyncio.create_task(self._ask.look_on(LOOK_ON, "/inbox/stream"))
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def morning(self) -> None:
        await self._think()
        match self._user.role:
            case "teacher":
                await self._teach()
            case "guardian":
                await self._look_after_a_child()
            case _:
                await self._run_the_office()

    async def look_again(self) -> None:
        await self._think()
        match self._user.role:
            case "teacher":
                await self._ask.get(TEACHER_DAY, "/today")
            case "guardian":
                await self._ask.get(GUARDIAN_DAY, "/today")
            case _:
                await self._ask.get(OFFICE_DAY, "/today")
        await self._think()
        await self._ask.get("unread count", "/inbox/unread-count")

    async def _teach(self) -> None:
        await self._ask.get(TEACHER_DAY, "/today")
        await self._think()
        for lesson in (await self._ask.get("lessons of the day", "/lessons"))["items"]:
            await self._think()
            await self._take_register(lesson["id"])
        await self._ask.get("class list", "/students", limit=100)
        await self._think()
        await self._inbox()
        await self._ask.upload(UPLOAD, WORKSHEETS)

    async def _take_register(self, lesson_id: str) -> None:
        """Two in a class are missing."""
        path = f"/lessons/{lesson_id}/register"
        register = await self._ask.get("open a register", path)
        await self._think()
        students = [line["student_id"] for line in register["lines"]]
        missing = set(random.sample(students, k=min(2, len(students))))
        marks = [{"student_id": each, "code": "A" if each in missing else "P"} for each in students]
        await self._ask.put("save a register", path, version=register["version"], marks=marks)
        self._absent |= missing
        await self._see_it_saved(lesson_id)
        await self._think()

    async def _see_it_saved(self, lesson_id: str) -> None:
        """The day is read from what events tell, so it is a moment behind."""
        began, is_shown = time.perf_counter(), False
        while not is_shown and time.perf_counter() - began < FOLLOWED_WITHIN_S:
            await asyncio.sleep(LOOK_S)
            lessons = (await self._ask.get(TEACHER_DAY, "/today"))["lessons"]
            is_shown = any((each["lesson_id"], each["register"]) == (lesson_id, "saved") for each in lessons)
        self._ask.took(FOLLOWED, time.perf_counter() - began, is_success=is_shown)

    async def _look_after_a_child(self) -> None:
        await self._ask.get(GUARDIAN_DAY, "/today")
        await self._think()
        await self._inbox()
        for child in (await self._ask.get("my children", "/students"))["items"]:
            await self._think()
            await self._ask.get("attendance of a child", f"/students/{child['id']}/attendance")
        await self._read_announcements()

    async def _run_the_office(self) -> None:
        await self._ask.get(OFFICE_DAY, "/today")
        await self._think()
        await self._ask.get("missing registers", "/missing-registers")
        await self._think()
        await self._announce()
        await self._ask.get(OFFICE_DAY, "/today")

    async def _inbox(self) -> None:
        await self._ask.get("unread count", "/inbox/unread-count")
        await self._think()
        await self._ask.get("inbox", "/inbox", limit=20)
        await self._think()

    async def _read_announcements(self) -> None:
        found = await self._ask.get("announcements", "/announcements", limit=20)
        for each in found["items"][:1]:
            path = f"/announcements/{each['announcement_id']}"
            await self._think()
            announcement = await self._ask.get("open an announcement", path)
            await self._ask.post("mark it read", f"{path}/read")
            for file in announcement["files"]:
                await self._ask.download(DOWNLOAD, f"{path}/files/{file['file_id']}")

    async def _announce(self) -> None:
        """To every guardian of the school, with a letter."""
        letter = await self._ask.upload(LETTER_UPLOAD, LETTER)
        audience = {"include": [{"kind": "role", "role": "guardian"}]}
        text = {"title": "Open day", "body": "Come and see us on Friday.", "audience": audience, "file_ids": [letter]}
        await self._ask.post("preview an audience", "/announcements/preview", audience=audience)
        await self._think()
        draft = await self._ask.post("write an announcement", "/announcements", **text)
        path = f"/announcements/{draft['announcement_id']}"
        await self._ask.post("send an announcement", f"{path}/send", version=draft["version"])
        await self._think()
        await self._ask.get("receipts", f"{path}/receipts")

    async def _think(self) -> None:
        await asyncio.sleep(random.uniform(*THINK_S))
