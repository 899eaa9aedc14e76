"""Lists: `limit`, an opaque `cursor`, a stable order and a `next` link."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar.params import QueryParameter

from shared.problems import BadRequest, FieldError

T = TypeVar("T")
KeyT = TypeVar("KeyT", bound=msgspec.Struct)

Limit = Annotated[int, QueryParameter(ge=1, le=500, description="How many at the most; 50 unless told.")]
Cursor = Annotated[
    str | None, QueryParameter(max_length=500, description="The `cursor` of the `next` link, as it was given.")
]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`next` is the path of the following page, null on the last one."""

    items: list[T]
    next: str | None = None


def decode_cursor(cursor: str | None, key: type[KeyT]) -> KeyT | None:
    """The sort key after which the page starts. Raises BadRequest for a cursor that we did not make."""
    if cursor is None:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=="), type=key)
    except (msgspec.DecodeError, binascii.Error, UnicodeError, ValueError, RecursionError):
        raise BadRequest(
            "Use the `next` link as it was given.",
            errors=[FieldError("query/cursor", "Not a cursor of this list.")],
        ) from None


def encode_cursor(key: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def page(
    found: Sequence[T],
    *,
    limit: int,
    path: str,
    key: Callable[[T], msgspec.Struct],
    filters: Mapping[str, object] | None = None,
) -> Page[T]:
    """Build the page from `limit + 1` rows: the one too many only tells that there is a next page.

    `path` is the list's own; `filters` are the query parameters that narrow it, and stay in the `next` link.
    """
    items = list(found[:limit])
    if len(found) <= limit:
        return Page(items=items)
    given = {name: value for name, value in (filters or {}).items() if value is not None}
    query = urlencode({**given, "limit": limit, "cursor": encode_cursor(key(items[-1]))})
    return Page(items=items, next=f"{path}?{query}")
