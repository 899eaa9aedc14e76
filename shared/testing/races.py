"""Two who change the same at once, in the order that a test wants."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import psycopg
import pytest

from shared.testing.stack import Stack

A = TypeVar("A")
B = TypeVar("B")
Do = Callable[[], Coroutine[Any, Any, A]]


async def is_somebody_waiting(stack: Stack) -> bool:
    """Whether any connection of this database waits for another's lock."""
    asked = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with await psycopg.AsyncConnection.connect(stack.admin_url) as connection:
        found = await (await connection.execute(asked)).fetchone()
    return bool(found and found[0])


async def held_up_or_done(stack: Stack, task: asyncio.Future[Any]) -> None:
    """Return once somebody waits for a lock, or `task`, which was to wait for one, has ended without."""
    # Postgres lets nobody know that somebody waits.
    while not task.done() and not await is_somebody_waiting(stack):  # noqa: ASYNC110 (as said above)
        await asyncio.sleep(0.02)


async def one_held_up_by_the_other(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *, first: Do[A], second: Do[B]
) -> tuple[A, B]:
    """`first` has done `module.name` and not committed when `second` begins."""
    has_derived, may_commit = asyncio.Event(), asyncio.Event()
    derive = getattr(module, name)

    async def deriving(*args: Any, **how: Any) -> Any:
        done = await derive(*args, **how)
        if not has_derived.is_set():
            has_derived.set()
            await may_commit.wait()
        return done

    monkeypatch.setattr(module, name, deriving)
    async with asyncio.TaskGroup() as group:
        held = group.create_task(first())
        await has_derived.wait()
        waiting = group.create_task(second())
        await held_up_or_done(stack, waiting)
        may_commit.set()
    return held.result(), waiting.result()
