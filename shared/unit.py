"""All transactions of one request as one (ADR 0201).

The first of them opens it, the others become savepoints in it, and it is committed at the end or not at all. It belongs
to the task that made it: a task that is started meanwhile has connections of its own, as if there were no unit.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self
from uuid import UUID

from shared.statements import Connection, Tenant, set_tenant
from shared.transactions import Tx

Open = Callable[[], AbstractAsyncContextManager[Tx]]
Begin = Callable[[Tx], Awaitable[None]]


class Undone(Exception):
    """Rolls a unit back without an error."""


class Unit:
    """`begin` is called in the transaction before anybody else; what it raises, everybody is told.

    Only `school_id` may be the tenant of the parts, when it is given.
    """

    def __init__(self, owner: object, open_: Open, begin: Begin, *, school_id: UUID | None) -> None:
        self.tx: Tx | None = None
        self.refusal: Exception | None = None
        self._owner = owner
        self._open = open_
        self._begin = begin
        self._school_id = school_id
        self._task = asyncio.current_task()
        self._stack = AsyncExitStack()
        self._is_inside = False
        self._is_undone = False
        self._token: Token[Unit | None] | None = None

    async def __aenter__(self) -> Self:
        self._token = _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        self._task = None
        if self._is_undone and error is None:
            kind, error = Undone, Undone()
        await self._stack.__aexit__(kind, error, traceback)

    def undo(self) -> None:
        """Commit nothing when it is left."""
        self._is_undone = True

    def is_of(self, owner: object) -> bool:
        return self._owner is owner and self._task is not None and self._task is asyncio.current_task()

    @asynccontextmanager
    async def joined(self, tenant: Tenant) -> AsyncGenerator[Tx]:
        """A transaction as a part of this one: an exception undoes it alone."""
        assert not self._is_inside, "a transaction inside another"
        assert self._school_id is None or tenant.school_id in {None, self._school_id}, "another school"
        outer = await self._opened()
        inner = Tx(outer.connection, school_id=tenant.school_id)
        self._is_inside = True
        try:
            async with outer.connection.transaction():
                await set_tenant(outer.connection, tenant)
                yield inner
        finally:
            self._is_inside = False
        outer.adopt(inner)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """The connection, for a statement that sets a tenant: one that reads amid a transaction leaves no trace."""
        assert self.tx is not None
        if self._is_inside:
            async with self.tx.connection.transaction(force_rollback=True):
                yield self.tx.connection
        else:
            yield self.tx.connection

    async def _opened(self) -> Tx:
        if self.refusal:
            raise self.refusal
        if self.tx is None:
            tx = await self._stack.enter_async_context(self._open())
            try:
                await self._begin(tx)
            except Exception as error:
                self.refusal = error
                raise
            self.tx = tx
        return self.tx


_current: ContextVar[Unit | None] = ContextVar("unit", default=None)


def current_unit(owner: object) -> Unit | None:
    """The unit of `owner` that the running task has begun."""
    unit = _current.get()
    return unit if unit is not None and unit.is_of(owner) else None
