"""Which service answers which path, and what each declares.

A prefix belongs to one service. Below it only those operations are passed on that the service's own OpenAPI document
declares: what is internal, or undocumented, cannot be reached from outside.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec
import structlog

from shared.http_pool import Pool, Request, UpstreamError

log = structlog.get_logger()

API: Final = "/api/v1/"
PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "auth": ("auth", "invites", "admin-invites"),
    "school": (
        "schools",
        "school",
        "districts",
        "academic-sessions",
        "bell-schedules",
        "calendar-days",
        "grade-days",
        "rotation",
        "rotation-days",
        "rooms",
        "today",
    ),
    "academic": (
        "imports",
        "students",
        "grades",
        "teachers",
        "guardians",
        "guardian-links",
        "courses",
        "classes",
        "enrolments",
        "lessons",
        "attendance-codes",
        "timetable-clashes",
        "absence-reports",
        "missing-registers",
    ),
    "communication": ("contacts", "announcements", "files"),
    "notification": ("inbox", "deliveries", "notification-preferences", "notification-policy"),
}
KEYS_PATH: Final = "/.well-known/jwks.json"
SERVICE_OF: Final = {prefix: service for service, prefixes in PREFIXES.items() for prefix in prefixes}
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

KEY_HEADER: Final = "Idempotency-Key"
QUOTA: Final = "x-quota"
CREDENTIALS: Final = "credentials"

DOCUMENT_BYTES: Final = 8 * 1024 * 1024
DOCUMENT_TIMEOUT_S: Final = 3.0
TRY_AGAIN_S: Final = 1.0


def service_of(path: str) -> str | None:
    """The service whose prefix a path has."""
    if path == KEYS_PATH:
        return "auth"
    if not path.startswith(API):
        return None
    return SERVICE_OF.get(path[len(API) :].partition("/")[0])


class Operations:
    """The operations of one document, by path: a segment in braces stands for any one segment."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._tree: dict[str, Any] = {}
        paths = cast("dict[str, dict[str, Any]]", document.get("paths", {}))
        self._keyed = frozenset(template for template, item in paths.items() if _takes_key(item.get("post", {})))
        self._credentialed = frozenset(_taking_credentials(paths))
        for template, item in paths.items():
            self._add(template, frozenset(method.upper() for method in item if method.upper() in METHODS))

    def _add(self, template: str, methods: frozenset[str]) -> None:
        node = self._tree
        for segment in template.split("/"):
            node = node.setdefault("{}" if segment.startswith("{") else segment, {})
        node["/"] = (template, methods)

    def template_of(self, method: str, path: str) -> str | None:
        """The declared path that `path` is an instance of, if it may be asked with `method`."""
        return next((template for template, methods in self._matches(path) if method in methods), None)

    def methods_of(self, path: str) -> frozenset[str]:
        return frozenset[str]().union(*(methods for _, methods in self._matches(path)))

    def takes_key(self, path: str) -> bool:
        """Whether a POST that is sent twice with the same Idempotency-Key is done once."""
        return self.template_of("POST", path) in self._keyed

    def takes_credentials(self, method: str, path: str) -> bool:
        """Whether one asks it in order to get a token, so that it cannot count by whose token it is."""
        return (method, self.template_of(method, path)) in self._credentialed

    def _matches(self, path: str) -> Iterable[tuple[str, frozenset[str]]]:
        """Exact segments first."""
        nodes: list[dict[str, Any]] = [self._tree]
        for segment in path.split("/"):
            key = segment if segment != "{}" else ""
            nodes = [
                child
                for node in nodes
                for child in (node.get(key), node.get("{}") if segment else None)
                if child is not None
            ]
        return [node["/"] for node in nodes if "/" in node]


def _takes_key(operation: Mapping[str, Any]) -> bool:
    return any(
        each.get("in") == "header" and each.get("name") == KEY_HEADER for each in operation.get("parameters", ())
    )


def _taking_credentials(paths: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for template, item in paths.items():
        for method in METHODS:
            if item.get(method.lower(), {}).get(QUOTA) == CREDENTIALS:
                yield method, template


class Contract:
    """What one upstream declares: fetched when first needed, later again in the background."""

    def __init__(self, service: str, pool: Pool, *, fresh_s: float) -> None:
        self.service = service
        self.document: Mapping[str, Any] | None = None
        self.operations: Operations | None = None
        self.is_readable = True
        """Whether the last attempt to fetch it succeeded."""
        self._pool = pool
        self._fresh_s = fresh_s
        self._fetch_after = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def loaded(self) -> Operations | None:
        """The operations, perhaps stale; None when the upstream has never told them."""
        if time.monotonic() >= self._fetch_after and (self._fetching is None or self._fetching.done()):
            self._fetching = asyncio.create_task(self._fetch())
        if self.operations is None and self._fetching is not None:
            await asyncio.wait({self._fetching})
        return self.operations

    async def close(self) -> None:
        if self._fetching and not self._fetching.done():
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    async def _fetch(self) -> None:
        try:
            self._heed(await self._fetched())
            self.is_readable = True
            self._fetch_after = time.monotonic() + self._fresh_s
        except (UpstreamError, msgspec.DecodeError, AttributeError, TypeError) as error:
            self.is_readable = False
            self._fetch_after = time.monotonic() + TRY_AGAIN_S
            log.warning("contract_unreadable", upstream=self.service, error=type(error).__name__)

    def _heed(self, document: Mapping[str, Any]) -> None:
        """An equal one is the one we have: what was made of that is still good."""
        if document != self.document:
            self.operations = Operations(document)
            self.document = document

    async def _fetched(self) -> dict[str, Any]:
        request = Request(
            method=b"GET", target=b"/openapi.json", headers=[(b"host", self._pool.authority)], is_idempotent=True
        )
        answer = await self._pool.request(request, timeout_s=DOCUMENT_TIMEOUT_S)
        try:
            if answer.status != 200:
                raise UpstreamError(f"status {answer.status}")
            body = await answer.read_all(limit_bytes=DOCUMENT_BYTES, timeout_s=DOCUMENT_TIMEOUT_S)
        finally:
            answer.close()
        return msgspec.json.decode(body, type=dict[str, Any])
