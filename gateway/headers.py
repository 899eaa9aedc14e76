"""What of a request and of an answer is passed on. A client must never be able to speak in our name."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any, Final

from gateway.settings import Settings
from shared import problems
from shared.problems import Problem

HeaderList = list[tuple[bytes, bytes]]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
SET_BY_US: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"expect",
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-client-ip",
        b"client-ip",
        b"true-client-ip",
        b"x-request-deadline",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-http-method-override",
        b"traceparent",
        b"tracestate",
    }
)
SPEAKING_FOR_US: Final = (b"x-forwarded", b"x-user-", b"x-school-", b"x-internal-")
ONCE: Final = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization")
ADDED_TO_ANSWERS: Final = frozenset(
    {b"server", b"date", b"x-content-type-options", b"x-powered-by", b"alt-svc", b"referrer-policy"}
)
REFERRER_POLICY: Final = (b"referrer-policy", b"strict-origin-when-cross-origin")

PLAIN_NAME: Final = re.compile(rb"[a-z0-9-]+")
HOST: Final = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
ENCODED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})|%(?:2[ef]|5c|00|0a|0d|7f)", re.IGNORECASE)
DOTS_OR_EMPTY: Final = re.compile(rb"/(?:\.{1,2})?(?:/|$)")
PRINTABLE: Final = re.compile(rb"[\x21-\x7e]*")


class BadRequestLine(problems.BadRequest):
    slug, title = "bad-request-line", "The address of the request cannot be read in only one way"


class AmbiguousFraming(problems.BadRequest):
    slug, title = "ambiguous-framing", "It is not certain where the request ends"


class TargetTooLong(Problem):
    status, slug, title = 414, "target-too-long", "The address of the request is too long"


class HeadTooLarge(Problem):
    status, slug, title = 431, "head-too-large", "The header of the request is too large"


def check_request(scope: Any, settings: Settings) -> None:
    """Raises the Problem of a request that two readers could take for different ones."""
    target_bytes = len(scope["raw_path"]) + len(scope["query_string"])
    if target_bytes > settings.target_bytes:
        raise TargetTooLong(f"At most {settings.target_bytes} bytes.")
    _check_path(scope["raw_path"], scope["query_string"])
    headers: HeaderList = scope["headers"]
    if len(headers) > 100 or sum(len(name) + len(value) for name, value in headers) > settings.head_bytes:
        raise HeadTooLarge(f"At most 100 fields and {settings.head_bytes} bytes.")
    _check_framing(headers, scope["http_version"])


def _check_path(raw_path: bytes, query: bytes) -> None:
    if not (PRINTABLE.fullmatch(raw_path) and PRINTABLE.fullmatch(query)) or b"\\" in raw_path:
        raise BadRequestLine("Encode what is not a printable ASCII character.")
    if ENCODED.search(raw_path):
        raise BadRequestLine("A path holds no encoded slashes, dots or control characters.")
    if raw_path != b"/" and DOTS_OR_EMPTY.search(raw_path.removesuffix(b"/")):
        raise BadRequestLine("A path holds no empty segments and no dots.")


def _check_framing(headers: HeaderList, http_version: str) -> None:
    if http_version not in {"1.0", "1.1"}:
        raise AmbiguousFraming("Only 1.0 and 1.1 are spoken here.")
    found = {name: [value for field, value in headers if field == name] for name in ONCE}
    for name, values in found.items():
        if len(values) > 1:
            raise AmbiguousFraming(f"`{name.decode()}` may be sent once.")
    if not all(HOST.fullmatch(host) for host in found[b"host"]) or (http_version == "1.1" and not found[b"host"]):
        raise AmbiguousFraming("Name one host.")
    lengths, codings = found[b"content-length"], found[b"transfer-encoding"]
    if codings and (lengths or codings[0].lower() != b"chunked" or http_version != "1.1"):
        raise AmbiguousFraming("Send either `Content-Length` or `Transfer-Encoding: chunked`.")
    if lengths and not (lengths[0].isdigit() and len(lengths[0]) <= 15):
        raise AmbiguousFraming("`Content-Length` is a number.")
    if (lengths or codings) and any(name == b"upgrade" for name, _ in headers):
        raise AmbiguousFraming("A request with a body cannot ask for another protocol.")


def forwarded(headers: HeaderList) -> HeaderList:
    """The client's own headers, without those that only we, or a connection, may set.

    A name with anything but letters, digits and hyphens is dropped: some readers take `X_User_Id` for `X-User-Id`.
    """
    named = _named_in_connection(headers)
    return [
        (name, value)
        for name, value in headers
        if name not in HOP_BY_HOP
        and name not in SET_BY_US
        and name not in named
        and not name.startswith(SPEAKING_FOR_US)
        and PLAIN_NAME.fullmatch(name)
    ]


def returned(headers: Sequence[tuple[bytes, bytes]], *, has_length: bool) -> HeaderList:
    """The upstream's headers, without its connection's and with ours."""
    named = _named_in_connection(headers)
    passed = [
        (name, value)
        for name, value in headers
        if name not in HOP_BY_HOP
        and name not in named
        and name not in ADDED_TO_ANSWERS
        and not name.startswith((b"ratelimit", b"access-control-"))
        and (has_length or name != b"content-length")
    ]
    policy = next((field for field in headers if field[0] == b"referrer-policy"), REFERRER_POLICY)
    return [*passed, policy if policy[1] == b"no-referrer" else REFERRER_POLICY]


def _named_in_connection(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    values = [value for name, value in headers if name == b"connection"]
    return frozenset(token.strip().lower() for value in values for token in value.split(b","))


def client_address(scope: Any, trusted_hops: int) -> str:
    """The peer of the socket, or what the outermost of our own proxies saw.

    Each proxy of ours adds one address to the right of X-Forwarded-For; whatever stands further left was sent by the
    client and may be a lie.
    """
    peer = str((scope.get("client") or ("unknown", 0))[0])
    if trusted_hops < 1:
        return peer
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    seen = [address.strip() for address in ",".join(values).split(",") if address.strip()]
    told = seen[-trusted_hops] if len(seen) >= trusted_hops else ""
    return told if _is_address(told) else peer


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return next((value for field, value in headers if field == name), None)
