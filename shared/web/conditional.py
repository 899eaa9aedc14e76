"""Cached answers over HTTP: a strong ETag for each, and 304 for who has it already (RFC 9110, 13.1.2).

A handler declares `opt={"cached": KIND}` and ends with `return await answers.of(school, key, read)`. Guards come
before: they are asked on every request, and what may be asked does not depend on what is remembered.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from litestar import Litestar, Request, Response

from shared.cache import Cache, Cached, shape
from shared.web.access import route_handlers

T = TypeVar("T")

MEDIA_TYPE: Final = "application/json"
TAGS: Final = re.compile(r'"[^"]*"')


class Answers:
    """How one request is answered from the cache of the service."""

    def __init__(self, cache: Cache, kind: Cached, request: Request[Any, Any, Any]) -> None:
        self.cache = cache
        self._kind = kind
        self._request = request

    async def of(self, school_id: UUID | None, key: object, read: Callable[[], Awaitable[T]]) -> Response[T]:
        """What `read` gives, or gave for the same key not long ago; nothing, if the caller has that already.

        `key` holds all that the answer depends on besides the school and the operation, also who may see it.
        """

        async def load() -> bytes:
            return msgspec.json.encode(await read())

        handler: Any = self._request.route_handler
        release = shape(handler.parsed_fn_signature.return_type.inner_types[0].annotation)
        asked = (handler.operation_id, release, key)
        return self.conditional(await self.cache.body(self._kind, of=school_id, key=asked, load=load))

    async def part(self, school_id: UUID | None, key: object, type_: type[T], read: Callable[[], Awaitable[T]]) -> T:
        """As `of`, for a handler that adds something of the moment before it calls `conditional`."""
        asked = (self._request.route_handler.operation_id, key)  # pyright: ignore[reportAttributeAccessIssue]
        return await self.cache.value(self._kind, of=school_id, key=asked, type_=type_, read=read)

    def conditional(self, body: bytes) -> Response[Any]:
        """`body` with its ETag, or 304."""
        tag = tag_of(body)
        headers = {
            "ETag": tag,
            "Cache-Control": "no-store" if self._kind.is_personal else "private, no-cache",
            "Vary": "Authorization",
        }
        if is_known(tag, self._request.headers.get("if-none-match")):
            return Response(None, status_code=304, headers=headers)
        return Response(body, media_type=MEDIA_TYPE, headers=headers)


def provide_answers(request: Request[Any, Any, Any]) -> Answers:
    """Only there on handlers that declare `cached`."""
    return Answers(request.app.state.cache, request.route_handler.opt["cached"], request)


def tag_of(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def is_known(tag: str, if_none_match: str | None) -> bool:
    """Whether the sender has the answer of this tag; a proxy may have weakened it (`W/`) on the way."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in TAGS.findall(if_none_match)


def demand_known_caches(app: Litestar, kinds: Collection[Cached]) -> None:
    """Raises LookupError when a handler caches what nobody would drop, or is not a reading one."""
    for handler in route_handlers(app):
        kind = handler.opt.get("cached")
        if kind is not None and (kind not in kinds or handler.http_methods != {"GET"}):
            raise LookupError(f"{handler}: only readings whose kind is among the service's caches are cached")
