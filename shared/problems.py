"""Errors that a caller may see (RFC 9457). Bare exceptions only: `shared.web` renders them.

A concept subclasses the nearest of these beside its rule, with a slug that stays stable for ever:

    class StaleRegister(Conflict):
        slug = "stale-register"
        title = "The register was saved by somebody else"
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with the request: where (a JSON pointer, or `query/limit`) and what."""

    pointer: str
    detail: str


class Problem(Exception):
    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extras: Any,
    ) -> None:
        """`detail` helps the caller to mend the request; `extras` become members of the problem document."""
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extras = extras


class BadRequest(Problem):
    status, slug, title = 400, "bad-request", "The request cannot be read"


class Unauthenticated(Problem):
    status, slug, title = 401, "unauthenticated", "Sign in first"


class Forbidden(Problem):
    status, slug, title = 403, "forbidden", "This is not yours to do"


class NotFound(Problem):
    """Also the answer to a foreign id: an unknown and a forbidden record look the same."""

    status, slug, title = 404, "not-found", "There is no such thing here"


class MethodNotAllowed(Problem):
    status, slug, title = 405, "method-not-allowed", "This cannot be done here"


class Conflict(Problem):
    status, slug, title = 409, "conflict", "This conflicts with what is already there"


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "The record changed since it was read"


class PayloadTooLarge(Problem):
    status, slug, title = 413, "payload-too-large", "The request is too large"


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "This kind of content is not read here"


class Invalid(Problem):
    status, slug, title = 422, "invalid", "The request does not make sense"


class TooManyRequests(Problem):
    status, slug, title = 429, "too-many-requests", "Too many requests"


class Unavailable(Problem):
    """Something we depend on does not answer; the caller may try again."""

    status, slug, title = 503, "unavailable", "Not available for the moment"
