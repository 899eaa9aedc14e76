"""Passing a request on: check, count, ask, answer. Whatever goes wrong is told as a problem document."""

import asyncio
from typing import Any, Final

import structlog

from gateway.client import ClientBody, ClientGone, ClientWatch, Receive, Send, send_nothing, send_problem
from gateway.headers import HeaderList, check_request, client_address, first, forwarded, returned
from gateway.limits import Limiter, Verdict
from gateway.routes import API, KEYS_PATH, METHODS, service_of
from gateway.settings import Settings
from gateway.streams import Streams
from gateway.upstream import BadGateway, Upstream
from shared import clock, problems, telemetry
from shared.http_pool import Answer, Body, Request, TimedOut, UpstreamError
from shared.identity import Caller, Verifier, bearer_token
from shared.problems import Problem

log = structlog.get_logger()

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
IDEMPOTENCY_KEY: Final = b"idempotency-key"
BUFFERED_BYTES: Final = 1024 * 1024
"""A body up to this size is awaited before the upstream is asked, so that slow clients hold no connection of it."""
IMPORTS: Final = f"{API}imports"
EVENT_STREAM: Final = b"text/event-stream"
EXPOSED: Final = b"etag, idempotency-replayed, link, location, ratelimit, ratelimit-policy, retry-after"
ASKABLE: Final = b"authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id"


class Proxy:
    """The ASGI application behind the proxied prefixes."""

    def __init__(
        self, settings: Settings, *, upstreams: dict[str, Upstream], limiter: Limiter, verifier: Verifier
    ) -> None:
        self.settings = settings
        self.upstreams = upstreams
        self.limiter = limiter
        self.verifier = verifier
        self.streams = Streams(limit=settings.streams, per_reader=settings.streams_per_reader)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        await Exchange(self, scope, receive, send).run()


class Exchange:
    """One request and its answer."""

    def __init__(self, proxy: Proxy, scope: Any, receive: Receive, send: Send) -> None:
        self._proxy = proxy
        self._settings = proxy.settings
        self._scope = scope
        self._method: str = scope["method"]
        self._path: str = scope["path"]
        # A copy: the server adds a chunked body's trailers to its own list while the body comes.
        self._headers: HeaderList = list(scope["headers"])
        self._send = send
        self._watch = ClientWatch(receive)
        self._added: HeaderList = []
        self._has_started = False
        self._is_idempotent = self._method in IDEMPOTENT
        is_import = self._path == IMPORTS and self._method == "POST"
        self._body_bytes = self._settings.import_body_bytes if is_import else self._settings.body_bytes
        deadline_s = self._settings.import_deadline_s if is_import else self._settings.deadline_s
        self._caller: Caller | None = None
        self._ends_at = asyncio.get_running_loop().time() + deadline_s
        self._body = ClientBody(receive, limit_bytes=self._body_bytes, is_read=not has_body(self._headers))

    async def run(self) -> None:
        try:
            await self._run()
        except Problem as problem:
            await self._refuse(problem)
        except UpstreamError as error:
            log.warning("answer_cut_short", error=type(error).__name__)
        except ClientGone:
            await self._part()
        except asyncio.CancelledError:
            if not self._watch.has_cancelled:
                raise
            _uncancel()
            await self._part()
        except Exception as error:
            log.exception("request_failed", error=type(error).__name__)
            await self._refuse(Problem())
        finally:
            self._watch.stop()

    async def _run(self) -> None:
        check_request(self._scope, self._settings)
        self._added += cors(self._headers, self._settings.origins)
        service = service_of(self._path)
        if service is None:
            raise problems.NotFound("No service answers this path.")
        upstream = self._proxy.upstreams[service]
        if self._path == KEYS_PATH and self._method == "GET":
            await self._pass_on(upstream)
            return
        operations = await upstream.operations()
        if self._method == "OPTIONS" and (methods := operations.methods_of(self._path)):
            await self._tell_options(methods)
            return
        self._declare(operations.template_of("GET" if self._method == "HEAD" else self._method, self._path))
        if self._method == "POST" and first(self._headers, IDEMPOTENCY_KEY) is not None:
            self._is_idempotent = operations.takes_key(self._path)
        await self._admit(takes_credentials=operations.takes_credentials(self._method, self._path))
        await self._pass_on(upstream)

    async def _refuse(self, problem: Problem) -> None:
        if not self._has_started:
            await send_problem(self._send, problem, self._added)

    async def _part(self) -> None:
        """Either the client has gone and sees nothing, or we go, and close its event stream in order."""
        if self._has_started:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send_nothing(self._send)

    # May it pass?

    def _declare(self, template: str | None) -> None:
        if template is None:
            raise problems.NotFound("No service answers this.")
        self._scope["path_template"] = template

    async def _tell_options(self, methods: frozenset[str]) -> None:
        allowed = ", ".join([*(method for method in METHODS if method in methods), "OPTIONS"]).encode()
        headers = [(b"allow", allowed), *self._added]
        if self._added and first(self._headers, b"access-control-request-method"):
            headers += [
                (b"access-control-allow-methods", allowed),
                (b"access-control-allow-headers", ASKABLE),
                (b"access-control-max-age", b"600"),
            ]
        await self._send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def _admit(self, *, takes_credentials: bool) -> None:
        """Who has no valid token counts by address, also when a bad one is then refused."""
        refusal: Problem | None = None
        caller: Caller | None = None
        authorization = first(self._headers, b"authorization")
        if authorization is not None:
            try:
                caller = await self._proxy.verifier.verify(bearer_token(authorization.decode("latin-1")))
            except Problem as problem:
                refusal = problem
        # What is refused here reaches nobody who would count it more strictly.
        takes_credentials = takes_credentials and refusal is None
        self._heed(await self._proxy.limiter.admit(self._address, caller, takes_credentials=takes_credentials))
        if refusal:
            raise refusal
        self._caller = caller

    def _heed(self, verdict: Verdict) -> None:
        if verdict.is_revoked:
            raise problems.Unauthenticated(
                "The session is over. Sign in again.", headers={"WWW-Authenticate": 'Bearer realm="homeroom"'}
            )
        self._added += verdict.headers()
        verdict.require_admitted()

    @property
    def _address(self) -> str:
        return client_address(self._scope, self._settings.trusted_proxy_hops)

    # The question

    async def _pass_on(self, upstream: Upstream) -> None:
        request = Request(
            method=b"GET" if self._method == "HEAD" else self._method.encode(),
            target=self._target(),
            headers=[(b"host", upstream.pool.authority), *forwarded(self._headers), *self._set_by_us()],
            body=await self._body_to_send(),
            is_idempotent=self._is_idempotent,
        )
        if self._body.is_read:
            self._watch.start()
        school_id = self._caller.school_id if self._caller else None
        answer = await upstream.ask(
            request, timeout_s=self._left_s, sent_since_s=lambda: self._body.read_since_s, school_id=school_id
        )
        try:
            await self._answer(answer)
        finally:
            answer.close()

    @property
    def _left_s(self) -> float:
        return self._ends_at - asyncio.get_running_loop().time()

    def _target(self) -> bytes:
        path: bytes = self._scope["raw_path"]
        query: bytes = self._scope["query_string"]
        return path + b"?" + query if query else path

    def _set_by_us(self) -> HeaderList:
        address = self._address.encode("latin-1", "replace")
        deadline_ms = round((clock.now().timestamp() + self._left_s) * 1000)
        traceparent = telemetry.traceparent()
        return [
            (b"x-client-ip", address),
            (b"x-forwarded-for", address),
            (b"x-forwarded-proto", self._scheme()),
            (b"x-forwarded-host", first(self._headers, b"host") or b""),
            (b"x-request-deadline", str(deadline_ms).encode()),
            *([(b"traceparent", traceparent.encode())] if traceparent else []),
        ]

    def _scheme(self) -> bytes:
        """What our own proxy says, when we stand behind one."""
        told = first(self._headers, b"x-forwarded-proto") if self._settings.trusted_proxy_hops else None
        return told if told in {b"http", b"https"} else self._scope["scheme"].encode()

    async def _body_to_send(self) -> bytes | Body:
        if self._body.is_read:
            return b""
        length = first(self._headers, b"content-length")
        if length and int(length) > self._body_bytes:
            await self._body.refuse()
        if (int(length) if length else self._body_bytes) <= BUFFERED_BYTES:
            return await self._body.whole(until=self._ends_at)
        return Body(self._body.parts(), int(length) if length else None)

    # The answer

    async def _answer(self, answer: Answer) -> None:
        self._watch.start()
        is_bodiless = answer.status in {204, 304}
        headers = returned(answer.headers, has_length=not is_bodiless) + self._added
        is_empty = is_bodiless or self._method == "HEAD"
        if not is_empty and (first(answer.headers, b"content-type") or b"").startswith(EVENT_STREAM):
            await self._stream(answer, headers)
            return
        # The head waits for the body: what is short goes out in one write, so that whoever is in front of us sees all
        # of it or, should we be killed, nothing, and can ask another gateway.
        part = b"" if is_empty else await self._first_part(answer)
        await self._start(answer, headers)
        if is_empty:
            await self._send_end(b"")
        else:
            await self._transfer(answer, part)

    async def _start(self, answer: Answer, headers: HeaderList) -> None:
        self._has_started = True
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _first_part(self, answer: Answer) -> bytes:
        try:
            return await answer.read(self._settings.transfer_s)
        except UpstreamError as error:
            log.warning("answer_cut_short", error=type(error).__name__)
            raise BadGateway from None

    async def _transfer(self, answer: Answer, part: bytes) -> None:
        """Most answers are whole by now; the others get their time."""
        if answer.is_read:
            return await self._send_end(part)
        try:
            async with asyncio.timeout(self._settings.transfer_s):
                await self._send_parts(answer, part)
        except TimeoutError:
            raise TimedOut("the transfer") from None

    async def _stream(self, answer: Answer, headers: HeaderList) -> None:
        reader = str(self._caller.user_id) if self._caller else self._address
        with self._proxy.streams.opened(reader, self._watch, self._caller):
            answer.leave_place()
            await self._start(answer, headers)
            await self._send_parts(answer, b"")

    async def _send_parts(self, answer: Answer, part: bytes) -> None:
        while True:
            if part:
                await self._send({"type": "http.response.body", "body": part, "more_body": True})
            part = await answer.read()
            if not part:
                return await self._send_end(b"")

    async def _send_end(self, part: bytes) -> None:
        # Once the answer is complete, the server says "disconnected" too.
        self._watch.stop()
        await self._send({"type": "http.response.body", "body": part, "more_body": False})


def has_body(headers: HeaderList) -> bool:
    return first(headers, b"transfer-encoding") is not None or first(headers, b"content-length") not in {None, b"0"}


def cors(headers: HeaderList, origins: frozenset[str]) -> HeaderList:
    """What lets the pages of an allowed origin read the answer."""
    origin = first(headers, b"origin")
    if origin is None or origin.decode("latin-1") not in origins:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]


def _uncancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
