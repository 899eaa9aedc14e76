"""Adds students without end, several at once: most as the office does, some slowly, some only to think better of it.

`python -m tests.chaos.writer <school id> <log>`: before and after each student a line goes into the log, which tells
after a kill what had been attempted and what had been acknowledged.
"""

import asyncio
import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import msgspec

from services.academic.people import actions, queries
from services.academic.people.actions import add_student
from services.academic.people.schemas import NewStudent, Student
from services.academic.settings import Settings
from shared.database import Database
from shared.ids import new_id
from shared.settings import load

WRITERS = 4
SHARE_UNDONE = 0.1
SHARE_SLOW = 0.2
SLOW_S = 0.1
PAUSE_S = 0.06

Line = Callable[[str, str], object]


class ThinksAgain(Exception):
    pass


async def write(database: Database, school_id: UUID, line: Line) -> None:
    while True:
        name, kind = str(new_id()), random.random()
        line("attempt", name)
        if kind < SHARE_UNDONE:
            with suppress(ThinksAgain):
                await add_slowly(database, school_id, name, think_again=True)
        elif kind < SHARE_UNDONE + SHARE_SLOW:
            await add_slowly(database, school_id, name)
            line("acknowledge", name)
        else:
            await add_student(database, school_id, NewStudent(given_name=name))
            line("acknowledge", name)
        await asyncio.sleep(random.uniform(0, PAUSE_S))


async def add_slowly(database: Database, school_id: UUID, name: str, *, think_again: bool = False) -> None:
    """What `add_student` does, with something else to do before the commit: so events commit out of order."""
    fields = msgspec.structs.asdict(NewStudent(given_name=name))
    student = Student(id=new_id(), sourced_id=None, is_active=True, version=1, **fields)
    async with database.transaction(school_id=school_id) as tx:
        await queries.add_student(tx, school_id=school_id, student=student)
        await actions.tell_of_students(tx, school_id, [student])
        await asyncio.sleep(random.uniform(0, SLOW_S))
        if think_again:
            raise ThinksAgain


async def run(school_id: UUID, log: Path) -> None:
    # One write to the kernel for each line: what was written survives the kill.
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def line(what: str, name: str) -> None:
        os.write(descriptor, f"{what} {name}\n".encode())

    async with Database(load(Settings)) as database, asyncio.TaskGroup() as writers:
        for _ in range(WRITERS):
            writers.create_task(write(database, school_id, line))


def main() -> None:
    asyncio.run(run(UUID(sys.argv[1]), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
