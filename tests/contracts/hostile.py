"""What must never bring a service down: the corpus of hostile requests, and what an answer to one must look like."""

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import msgspec

from shared.ids import new_id
from tests.operations import VERSION, Operation, honest, places, with_value

PROBLEM: Final = "application/problem+json"
JSON: Final = {"Content-Type": "application/json"}
CODE: Final = re.compile(r"Traceback|File \\?\"|/\w+\.py\b")
DEEP: Final = (1_000, 100_000)
HOLE: Final = "the hole in which something hostile is put"

VALUES: Final[Mapping[str, bytes]] = {
    "a huge integer": b"1" + b"0" * 400,
    "2**63": str(2**63).encode(),
    "-2**63-1": str(-(2**63) - 1).encode(),
    "2**31": str(2**31).encode(),
    "2**53 as a float": b"9007199254740993.0",
    "minus one": b"-1",
    "a float": b"1.5",
    "a whole float": b"1.0",
    "a float out of range": b"1e400",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a NUL": b'"a\\u0000b"',
    "only a NUL": b'"\\u0000"',
    "a lone surrogate": b'"\\ud800"',
    "a reversed pair": b'"\\udc00\\ud800"',
    "bytes of no charset": b'"\xff\xfe"',
    "a raw control character": b'"a\x01b"',
    "the first day": b'"0001-01-01"',
    "the last day": b'"9999-12-31"',
    "the day after the last": b'"10000-01-01"',
    "no day": b'"2026-02-30"',
    "the first instant": b'"0001-01-01T00:00:00+14:00"',
    "the last instant": b'"9999-12-31T23:59:59-12:00"',
    "the first local instant": b'"0001-01-01T00:00:00"',
    "the last time": b'"24:00:00"',
    "the nil uuid": b'"00000000-0000-0000-0000-000000000000"',
    "the last uuid": b'"ffffffff-ffff-ffff-ffff-ffffffffffff"',
    "a uuid in braces": b'"{12345678-1234-5678-1234-567812345678}"',
    "a uuid without dashes": b'"12345678123456781234567812345678"',
    "nearly a uuid": b'"12345678-1234-5678-1234-56781234567g"',
    "a long text": b'"' + b"a" * 100_000 + b'"',
    "an empty text": b'""',
    "a bidi text": '"\u202eabc\u2066"'.encode(),
    "null": b"null",
    "true": b"true",
    "an object": b'{"a":1}',
    "a list": b"[[],[]]",
    "a deep list": b"[" * 2_000 + b"]" * 2_000,
}
TEXTS: Final[Mapping[str, str]] = {
    "a NUL": "%00",
    "a NUL inside": "a%00b",
    "a lone surrogate": "%ed%a0%80",
    "bytes of no charset": "%ff%fe",
    "a broken escape": "%zz",
    "nothing": "",
    "2**63": str(2**63),
    "a huge integer": "1" + "0" * 400,
    "many digits": "9" * 5_000,
    "minus one": "-1",
    "a float": "1.5",
    "NaN": "nan",
    "Infinity": "inf",
    "the first day": "0001-01-01",
    "the last day": "9999-12-31",
    "the day after the last": "10000-01-01",
    "a day as seconds": "99999999999999999",
    "the first instant": "0001-01-01T00:00:00%2B14:00",
    "the last instant": "9999-12-31T23:59:59.999999-12:00",
    "an instant without offset": "2026-01-01T00:00:00",
    "the nil uuid": "00000000-0000-0000-0000-000000000000",
    "the last uuid": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "a uuid in braces": "%7B12345678-1234-5678-1234-567812345678%7D",
    "a uuid as urn": "urn:uuid:12345678-1234-5678-1234-567812345678",
    "a uuid without dashes": "12345678123456781234567812345678",
    "digits that are not ASCII": quote("١٢٣"),
    "a wildcard": "%25_%25",
    "a quote": "%27%3B--",
    "a slash": "%2F..%2F",
    "a line": "a%0D%0Ab",
    "deep": "%5B" * 1_000,
    "long": "a" * 20_000,
}
HEADERS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    ("an empty type", {"Content-Type": ""}),
    ("another type", {"Content-Type": "text/plain"}),
    ("a form", {"Content-Type": "application/x-www-form-urlencoded"}),
    ("parts without a boundary", {"Content-Type": "multipart/form-data"}),
    ("messagepack", {"Content-Type": "application/x-msgpack"}),
    ("xml", {"Content-Type": "application/xml"}),
    ("no type at all", {"Content-Type": ";;;=,/"}),
    ("a charset nobody has", {"Content-Type": "application/json; charset=klingon"}),
    ("another charset", {"Content-Type": "application/json; charset=utf-16"}),
    ("said to be gzip", {**JSON, "Content-Encoding": "gzip"}),
    ("a length that is none", {**JSON, "Content-Length": "abc"}),
    ("a length below zero", {**JSON, "Content-Length": "-5"}),
)


class Hostile(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `told` says what is wrong with it."""

    told: str
    method: str
    url: str
    headers: Mapping[str, str] = {}
    content: bytes | None = None


class Honest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that the service would like, to be spoilt in one place."""

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes | None


def honest_request(operation: Operation, ids: Mapping[str, Any]) -> Honest:
    """Only the query parameters that are needed; raises CannotBeMade when a value is not known."""
    body = honest_body(operation, ids)
    return Honest(
        method=operation.method,
        path={each.name: quote(honest_text(operation, each.schema, ids, each.name)) for each in in_path(operation)},
        query={
            each.name: honest_text(operation, each.schema, ids, each.name)
            for each in operation.parameters_in("query")
            if each.required
        },
        headers={"Content-Type": operation.media_type} if operation.media_type else {},
        content=body,
    )


def in_path(operation: Operation) -> list[Any]:
    return operation.parameters_in("path")


def honest_text(operation: Operation, schema: Any, ids: Mapping[str, Any], name: str) -> str:
    value = ids.get(f"{operation.operation_id}.{name}") or honest(operation, schema, ids, name)
    value = value[0] if isinstance(value, list) else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def honest_body(operation: Operation, ids: Mapping[str, Any]) -> bytes | None:
    match operation.media_type:
        case None:
            return None
        case "application/json":
            return json.dumps(honest(operation, operation.body, ids)).encode()
        case "text/csv":
            return f"student_sourced_id,given_name,relation\n{ids['student_sourced_id']},Grace,mother\n".encode()
        case _:
            return b"PK"


def spoilt(operation: Operation, ids: Mapping[str, Any], cursor_of_list: str = "") -> Iterator[Hostile]:
    """The whole corpus for one operation; the first request is an honest one."""
    good = honest_request(operation, ids)
    yield _request(operation, good, "nothing")
    yield from _spoilt_path(operation, good)
    yield from _spoilt_query(operation, good, cursor_of_list)
    yield from _spoilt_headers(operation, good)
    if operation.media_type:
        yield from _spoilt_content(operation, good)
    if operation.media_type == "application/json":
        yield from _spoilt_fields(operation, good, ids)


def _request(operation: Operation, good: Honest, told: str, **other: Any) -> Hostile:
    path = operation.path
    for name, value in {**good.path, **other.get("path", {})}.items():
        path = path.replace(f"{{{name}}}", value)
    query = urlencode(good.query)
    if "query" in other:
        name, raw = other["query"]
        rest = urlencode({key: value for key, value in good.query.items() if key != name})
        query = "&".join(part for part in (rest, f"{name}={raw}") if part)
    return Hostile(
        told=f"{operation.operation_id}: {told}",
        method=good.method,
        url=path + (f"?{query}" if query else ""),
        headers={**good.headers, **other.get("headers", {})},
        content=other.get("content", good.content),
    )


def _spoilt_path(operation: Operation, good: Honest) -> Iterator[Hostile]:
    for parameter in in_path(operation):
        for told, text in TEXTS.items():
            yield _request(operation, good, f"{told} as {parameter.name}", path={parameter.name: text})


def _spoilt_query(operation: Operation, good: Honest, cursor_of_list: str) -> Iterator[Hostile]:
    for parameter in operation.parameters_in("query"):
        for told, text in TEXTS.items():
            yield _request(operation, good, f"{told} as {parameter.name}", query=(parameter.name, text))
        twice = f"1&{parameter.name}=2"
        yield _request(operation, good, f"{parameter.name} twice", query=(parameter.name, twice))
        if parameter.name == "cursor":
            for told, cursor in broken_cursors(cursor_of_list):
                yield _request(operation, good, f"a cursor with {told}", query=("cursor", cursor))


def _spoilt_headers(operation: Operation, good: Honest) -> Iterator[Hostile]:
    for parameter in operation.parameters_in("header"):
        for told in ("the nil uuid", "the last uuid", "nothing", "a uuid without dashes", "many digits"):
            yield _request(operation, good, f"{told} as {parameter.name}", headers={parameter.name: TEXTS[told]})
    for name in ("accept", "accept-encoding", "traceparent", "cookie", "if-none-match", "origin"):
        yield _request(operation, good, f"nonsense as {name}", headers={name: "\x7f;;=,00-" + "f" * 500})


def _spoilt_content(operation: Operation, good: Honest) -> Iterator[Hostile]:
    content = good.content or b""
    for told, headers in HEADERS:
        yield _request(operation, good, told, headers=headers)
    for told, spoilt_content in (
        ("nothing", b""),
        ("a space", b" "),
        ("half of it", content[: len(content) // 2]),
        ("the first byte", content[:1]),
        ("too much", content + content),
        ("a byte order mark", b"\xef\xbb\xbf" + content),
        ("UTF-16", content.decode().encode("utf-16")),
        ("gzip", gzip.compress(content)),
        ("zeros", b"\x00" * 100),
        ("null", b"null"),
        ("a number", b"1" + b"0" * 400),
        ("a lone surrogate", b'"\\ud800"'),
        ("1.5 MB of text", b'{"a":"' + b"a" * 1_500_000 + b'"}'),
        ("1.5 MB of lists", b"[" + b"[]," * 500_000 + b"[]]"),
        ("twice the same key", b'{"version":1,"version":2,' + content[1:]),
        ("an unknown key", b'{"school_id":"x",' + content[1:]),
        ("a key that is a NUL", b'{"\\u0000":1,' + content[1:]),
    ):
        yield _request(operation, good, told, content=spoilt_content)
    for depth in DEEP:
        yield _request(operation, good, f"lists {depth} deep", content=b"[" * depth + b"]" * depth)
        yield _request(operation, good, f"open lists {depth} deep", content=b"[" * depth)
        yield _request(operation, good, f"objects {depth} deep", content=b'{"a":' * depth + b"1" + b"}" * depth)
        yield _request(operation, good, f"open objects {depth} deep", content=b'{"a":' * depth)


def _spoilt_fields(operation: Operation, good: Honest, ids: Mapping[str, Any]) -> Iterator[Hostile]:
    body = honest(operation, operation.body, ids)
    for pointer in places(body):
        name = "/".join(map(str, pointer))
        around = json.dumps(with_value(body, pointer, HOLE)).encode()
        for told, value in VALUES.items():
            content = around.replace(json.dumps(HOLE).encode(), value)
            yield _request(operation, good, f"{told} as {name}", content=content)
        yield _request(
            operation,
            good,
            f"{name} 1,000 deep",
            content=around.replace(json.dumps(HOLE).encode(), b'{"a":' * 1_000 + b"1" + b"}" * 1_000),
        )
    for pointer in places(body):
        if isinstance(pointer[-1], str) and len(pointer) == 1:
            without = {key: value for key, value in body.items() if key != pointer[-1]}
            yield _request(operation, good, f"no {pointer[-1]}", content=json.dumps(without).encode())


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def broken_cursors(honest_cursor: str) -> Iterator[tuple[str, str]]:
    """An honest cursor of the list, spoilt in each of its members, and what was never a cursor."""
    content = base64.urlsafe_b64decode(honest_cursor + "==")
    key = json.loads(content)
    for told, spoilt_content in (
        ("nothing", b""),
        ("no JSON", b"abc"),
        ("half of it", content[: len(content) // 2]),
        ("an empty object", b"{}"),
        ("an empty list", b"[]"),
        ("null", b"null"),
        ("a number", b"1" + b"0" * 300),
        ("bytes of no charset", b'{"id":"\xff"}'),
        ("a depth", b"[" * 350),
        ("twice the same key", content[:-1] + b"," + content[1:]),
        ("an unknown key", content[:-1] + b',"school_id":"\\u0000"}'),
    ):
        yield told, encoded(spoilt_content)
    yield "no base64", "%21%21%21"
    yield "one letter", "a"
    yield "letters that are not ASCII", quote("ä" * 8)
    for name in key:
        around = json.dumps({**key, name: HOLE}, separators=(",", ":")).encode()
        for told, value in VALUES.items():
            if len(value) < 100:
                yield f"{told} as {name}", encoded(around.replace(json.dumps(HOLE).encode(), value))


def faults(answer: httpx.Response) -> list[str]:
    """Everything that an answer must not be, whatever was asked."""
    text = answer.text
    found = [f"answers {answer.status_code}"] if answer.status_code >= 500 else []
    if CODE.search(text):
        found.append("shows its code")
    if answer.status_code >= 400:
        found += _problem_faults(answer)
    return found


def _problem_faults(answer: httpx.Response) -> list[str]:
    if answer.headers.get("content-type") != PROBLEM:
        return [f"{answer.status_code} as {answer.headers.get('content-type')}"]
    try:
        problem = json.loads(answer.content)
    except ValueError:
        return ["a problem that is no JSON"]
    found = [f"a problem without {name}" for name in ("type", "title", "status", "trace_id") if not problem.get(name)]
    if problem.get("status") != answer.status_code:
        found.append(f"says {problem.get('status')} and answers {answer.status_code}")
    if not str(problem.get("type", "")).startswith("/problems/"):
        found.append("a type that is no slug of ours")
    if not str(problem.get("trace_id", "")).strip("0"):
        found.append("no trace")
    return found


async def sent(
    client: httpx.AsyncClient, hostile: Hostile, headers: Mapping[str, str], *, version: int = 1
) -> httpx.Response:
    """As it is: the client neither mends the address nor the headers."""
    content = hostile.content
    if content is not None and len(content) < 1_000_000:
        content = content.replace(str(VERSION).encode(), str(version).encode())
    return await client.request(
        hostile.method,
        hostile.url,
        headers={"x-client-ip": str(new_id()), **headers, **hostile.headers},
        content=content,
    )
