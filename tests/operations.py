"""What a service can be asked, read out of its own OpenAPI document: a new operation is known without being listed."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from litestar import Litestar

from shared import clock
from shared.ids import new_id
from shared.web.access import route_handlers
from shared.web.openapi import openapi_document

VERSION = 987_654_321
"""Stands for the version that a record has by now; whoever sends the request puts it in."""
SAMPLES = ("Grace Hopper", "3", "QA1", "grace@home.test", "+1 555 0199", "abc")
NAMED_SAMPLES = {
    "time_zone": "America/Chicago",
    "default_code": "P",
    "period": "3",
    "media_type": "application/pdf",
}


class CannotBeMade(Exception):
    """No honest value is known: the suite must be told of one."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    where: str
    schema: Any
    required: bool


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    operation_id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    media_type: str | None
    """Of the body; None when it takes none."""
    body: Any
    """The schema of the body."""
    roles: frozenset[str]
    access: str
    """`permission`, `public` or `internal`."""
    components: Any

    def __repr__(self) -> str:
        return self.operation_id

    def parameters_in(self, where: str) -> list[Parameter]:
        return [each for each in self.parameters if each.where == where]

    def url(self, values: Mapping[str, str]) -> str:
        """The path with these values in it. Raises CannotBeMade when one is missing."""
        return re.sub(r"\{(\w+)\}", lambda found: _known(values, found.group(1)), self.path)


def operations_of(service: str, app: Litestar) -> list[Operation]:
    document = openapi_document(app)
    handlers = {handler.operation_id: handler for handler in route_handlers(app)}
    permissions = app.state.permissions
    return [
        _operation(service, document, path, method, operation, handlers[operation["operationId"]].opt, permissions)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def _operation(
    service: str, document: Any, path: str, method: str, operation: Any, opt: Mapping[str, Any], permissions: Any
) -> Operation:
    content = operation.get("requestBody", {}).get("content", {})
    media_type = next(iter(content), None)
    permission = opt.get("permission")
    return Operation(
        service=service,
        operation_id=operation["operationId"],
        method=method.upper(),
        path=path,
        parameters=tuple(
            Parameter(name=each["name"], where=each["in"], schema=each["schema"], required=bool(each.get("required")))
            for each in operation.get("parameters", ())
        ),
        media_type=media_type,
        body=content[media_type]["schema"] if media_type else None,
        roles=frozenset(role for role, granted in permissions.items() if permission in granted),
        access=next(each for each in ("permission", "public", "internal") if opt.get(each)),
        components=document["components"]["schemas"],
    )


def honest(operation: Operation, schema: Any, ids: Mapping[str, Any], name: str = "") -> Any:
    """A value that the schema allows, with ids out of `ids` by the name of the field, and its `day` for every date.

    Raises CannotBeMade.
    """
    schema = resolved(operation, schema)
    if "enum" in schema or "const" in schema:
        return schema.get("const", next(iter(schema.get("enum", ())), None))
    kind = kind_of(schema)
    match kind:
        case "object":
            properties = schema.get("properties", {})
            return {
                each: ids[own]
                if (own := f"{operation.operation_id}.{each}") in ids
                else honest(operation, inner, ids, each)
                for each, inner in properties.items()
            }
        case "array":
            return [honest(operation, schema["items"], ids, name)]
        case "integer" | "number" if name == "version":
            return VERSION
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
        case _:
            return _text(schema, ids, name)


def _text(schema: Any, ids: Mapping[str, Any], name: str) -> str:
    match schema.get("format"):
        case "uuid":
            return _known(ids, name)
        case "date":
            return ids["day"]
        case "date-time":
            return clock.now().isoformat()
        case "time-local":
            return {"ends_at": "11:45:00"}.get(name, "11:00:00")
        case _:
            pattern, longest = schema.get("pattern", ""), schema.get("maxLength", 1000)
            if name == "email":
                return f"{new_id()}@home.test"
            if name.endswith(("code", "token")) and longest >= 32:
                return new_id().hex
            samples = (NAMED_SAMPLES[name],) if name in NAMED_SAMPLES else SAMPLES
            for sample in samples:
                if schema.get("minLength", 0) <= len(sample) <= longest and re.search(pattern, sample):
                    return sample
    raise CannotBeMade(f"no honest value of {name!r}, say one in NAMED_SAMPLES or FilledSchool.values(): {schema}")


def resolved(operation: Operation, schema: Any) -> Any:
    """Without references, and of several possibilities the first that is something."""
    while True:
        if "$ref" in schema:
            schema = operation.components[schema["$ref"].rpartition("/")[2]]
        elif "oneOf" in schema or "anyOf" in schema:
            several = [each for each in schema.get("oneOf", schema.get("anyOf")) if each.get("type") != "null"]
            schema = {**{key: value for key, value in schema.items() if key not in {"oneOf", "anyOf"}}, **several[0]}
        elif "allOf" in schema:
            merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
            for each in schema["allOf"]:
                merged |= resolved(operation, each)
            schema = merged
        else:
            return schema


def kind_of(schema: Any) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return kind if isinstance(kind, str) else next(each for each in kind if each != "null")


def places(body: Any, pointer: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where in an honest body each value stands."""
    if pointer:
        yield pointer
    if isinstance(body, dict):
        for name, inner in body.items():
            yield from places(inner, (*pointer, name))
    elif isinstance(body, list):
        for index, inner in enumerate(body):
            yield from places(inner, (*pointer, index))


def with_value(body: Any, pointer: tuple[str | int, ...], value: Any) -> Any:
    """A copy of the body with another value in one place."""
    if not pointer:
        return value
    copy = dict(body) if isinstance(body, dict) else list(body)
    copy[pointer[0]] = with_value(copy[pointer[0]], pointer[1:], value)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return copy


def value_at(body: Any, pointer: tuple[str | int, ...]) -> Any:
    for step in pointer:
        body = body[step]
    return body


def _known(ids: Mapping[str, Any], name: str) -> str:
    if name not in ids:
        raise CannotBeMade(
            f"no value is known for {name!r}: let FilledSchool (tests/whole_house.py) make one, in `ids`"
        )
    return ids[name]
