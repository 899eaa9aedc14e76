"""`Idempotency-Key`: a request that is sent again is answered again, and has its effect once (ADR 0201).

What the handler writes, the key and the answer are one transaction. The key counts for every POST by a user, but for
those that say why not: `opt={"unkeyed": "reason"}`. An answer that is an error is not kept.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from uuid import UUID

from litestar import Request
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter

from shared.database import Database
from shared.idempotency import (
    NO_SCHOOL,
    AlreadyAnswered,
    Answer,
    Claim,
    KeyReused,
    StillRunning,
    answer_of,
    keep,
    still_running,
    take,
)
from shared.identity import Caller
from shared.problems import BadRequest
from shared.web.access import deny_by_default
from shared.web.rendering import render

HEADER: Final = b"idempotency-key"
REPLAYED: Final = (b"idempotency-replayed", b"true")
LONGEST: Final = 255
KEPT_HEADERS: Final = frozenset({"content-type", "etag", "link", "location"})
WAIT_S: Final = 2.0
"""How long a second request waits for the first, before it is told that this is still running."""

KEYED = Counter("homeroom_keyed_requests_total", "Requests with an Idempotency-Key.", ("outcome",))


PARAMETER: Final[Mapping[str, object]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "Chosen by the client, new for each thing to be done: the same request with the same key, within 24 hours, "
        "is answered as before and has its effect once."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": r"^[!-~]+$(?!\n)"},
}
ANSWER_HEADER: Final[Mapping[str, object]] = {
    "description": "`true`: this is what was answered to the first request with this key.",
    "schema": {"type": "string", "enum": ["true"]},
}


class MalformedKey(BadRequest):
    slug = "malformed-idempotency-key"
    title = "The Idempotency-Key cannot be used"


def takes_key(opt: Mapping[str, Any], method: str) -> bool:
    return method == "POST" and "permission" in opt and "unkeyed" not in opt


def declare_key(operation: dict[str, Any]) -> None:
    """Tell of the header in an operation's part of the OpenAPI document."""
    operation.setdefault("parameters", []).append(dict(PARAMETER))
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            response.setdefault("headers", {})["Idempotency-Replayed"] = dict(ANSWER_HEADER)
    refusals = [f"`{problem.slug}`: {problem.title}." for problem in (MalformedKey, StillRunning, KeyReused)]
    operation["responses"]["4XX"]["description"] += " " + " ".join(refusals)


def idempotent(app: ASGIApp) -> ASGIApp:
    """The middleware: requests without a key, or that need none, pass untouched."""
    queues = Queues()

    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            handler: Any = scope["route_handler"]
            values = [value for name, value in scope["headers"] if name == HEADER]
            if values and takes_key(handler.opt, "POST"):
                return await Exchange(app, queues, handler, scope, receive).run(values, send)
        return await app(scope, receive, send)

    return pass_on


class Queues:
    """Requests of this process with the same key come one after the other, and hold nothing while they wait."""

    def __init__(self) -> None:
        self._locks: dict[tuple[UUID, UUID, str, str], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, claim: Claim) -> AsyncGenerator[None]:
        """Raises StillRunning when it takes too long."""
        lock, waiting = self._locks.get(claim.name, (asyncio.Lock(), 0))
        self._locks[claim.name] = (lock, waiting + 1)
        try:
            try:
                async with asyncio.timeout(WAIT_S):
                    await lock.acquire()
            except TimeoutError:
                raise still_running() from None
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, waiting = self._locks.pop(claim.name)
            if waiting > 1:
                self._locks[claim.name] = (lock, waiting - 1)


class Exchange:
    """One request with a key."""

    def __init__(self, app: ASGIApp, queues: Queues, handler: BaseRouteHandler, scope: Scope, receive: Receive) -> None:
        self._app = app
        self._queues = queues
        self._handler = handler
        self._scope = scope
        self._receive = receive
        self._database: Database = scope["litestar_app"].state.database
        self._told: list[Message] = []

    async def run(self, values: list[bytes], send: Send) -> None:
        request: Request[Any, Any, Any] = Request(self._scope, self._receive)
        await deny_by_default(request, self._handler)
        self._caller: Caller = request.state["caller"]
        claim = _claim(request, self._handler, _key(values), await request.body())
        try:
            async with self._queues.turn(claim):
                stored = await answer_of(self._database, claim) or await self._ask(claim)
        except Exception as error:
            if not self._told:
                raise
            await self._refuse(request, error, send)
        else:
            await self._reply(stored, send)

    async def _reply(self, stored: Answer | None, send: Send) -> None:
        KEYED.labels("replayed" if stored else "first").inc()
        if stored:
            await self._database.remember_write()
            await _replay(stored, send)
            return
        for message in self._told:
            await send(message)

    async def _refuse(self, request: Request[Any, Any, Any], error: Exception, send: Send) -> None:
        """Litestar would not: it believes that the answer, which was kept back, has left."""
        refusal: Any = render(request, error)
        await refusal.to_asgi_response(app=None, request=request)(self._scope, self._receive, send)

    async def _ask(self, claim: Claim) -> Answer | None:
        """Let the handler work, and keep what it answers; an answer comes back when another process was faster."""
        begin = partial(take, claim=claim)
        unit = self._database.unit(begin, tenant=claim.school_id, school_id=self._caller.school_id)
        async with unit:
            await self._app(self._scope, self._receive, self._listen)
            answer = self._answer()
            if answer.status >= 400:
                unit.undo()
            elif unit.tx:
                await keep(unit.tx, claim, answer)
        if answer.status < 400:
            return None
        if isinstance(unit.refusal, AlreadyAnswered):
            return unit.refusal.answer
        # Perhaps it was refused because of what the first request did while this one had no claim yet.
        return await answer_of(self._database, claim)

    async def _listen(self, message: Message) -> None:
        self._told.append(message)

    def _answer(self) -> Answer:
        messages: list[Any] = list(self._told)
        fields = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in messages[0]["headers"]]
        return Answer(
            status=messages[0]["status"],
            headers={name: value for name, value in fields if name in KEPT_HEADERS},
            body=b"".join(message.get("body", b"") for message in messages[1:]),
        )


def _key(values: list[bytes]) -> str:
    if len(values) != 1:
        raise MalformedKey("Send one.")
    key = values[0].decode("latin-1")
    if not 1 <= len(key) <= LONGEST or not all("!" <= character <= "~" for character in key):
        raise MalformedKey(f"1 to {LONGEST} visible ASCII characters, such as a UUID.")
    return key


def _claim(request: Request[Any, Any, Any], handler: Any, key: str, body: bytes) -> Claim:
    caller: Caller = request.state["caller"]
    scope: Any = request.scope
    asked = [caller.role.encode(), str(caller.person_id).encode(), scope["path"].encode(), scope["query_string"], body]
    return Claim(
        school_id=caller.school_id or NO_SCHOOL,
        user_id=caller.user_id,
        operation=handler.operation_id,
        key=key,
        fingerprint=hashlib.sha256(b"\n".join(asked)).digest(),
    )


async def _replay(answer: Answer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    headers += [(b"content-length", str(len(answer.body)).encode()), REPLAYED]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
