"""One OpenAPI document out of those of all services, and a page that shows it without asking anybody else."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath

from gateway.routes import service_of
from shared.problems import NotFound
from shared.web.conditional import MEDIA_TYPE, is_known, tag_of

PAGE: Final = Path(__file__).parent / "page"
FILES: Final = {
    "docs.js": "text/javascript; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cache-Control": "no-cache",
}
SECTIONS: Final = ("schemas", "responses", "parameters", "requestBodies", "headers", "examples")


def merged(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The paths that can be reached from outside, one tag for each service; a component is renamed on conflict."""
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {"securitySchemes": {}}
    operation_ids: set[str] = set()
    for service, document in documents.items():
        renamed = _with_own_names(service, document, components)
        for path, item in renamed.get("paths", {}).items():
            if service_of(path) == service:
                paths[path] = {method: _tagged(service, operation, operation_ids) for method, operation in item.items()}
        components["securitySchemes"].update(renamed.get("components", {}).get("securitySchemes", {}))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Homeroom", "version": "1", "description": "Everything a school's front ends may ask."},
        "servers": [{"url": "/"}],
        "tags": [{"name": service} for service in documents],
        "paths": dict(sorted(paths.items())),
        "components": components,
    }


def _with_own_names(service: str, document: Mapping[str, Any], components: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document after its components have joined the others, under another name where they differ."""
    clashes: dict[str, str] = {}
    renamed: dict[str, Any] = _pointing(document, clashes)
    # What speaks of a renamed component is different by that alone, so look until nothing is new.
    while found := _clashes(service, renamed, components, clashes):
        clashes |= found
        renamed = _pointing(document, clashes)
    for section, name, component in _components_of(renamed):
        own_name = clashes.get(_pointer(section, name), "").rpartition("/")[2] or name
        components.setdefault(section, {})[own_name] = component
    return renamed


def _clashes(
    service: str, document: Mapping[str, Any], components: Mapping[str, Mapping[str, Any]], known: Mapping[str, str]
) -> dict[str, str]:
    return {
        _pointer(section, name): _pointer(section, _own_name(service, name))
        for section, name, component in _components_of(document)
        if _pointer(section, name) not in known and components.get(section, {}).get(name, component) != component
    }


def _components_of(document: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    own: Mapping[str, Mapping[str, Any]] = document.get("components", {})
    return [(section, name, component) for section in SECTIONS for name, component in own.get(section, {}).items()]


def _pointer(section: str, name: str) -> str:
    return f"#/components/{section}/{name}"


def _own_name(service: str, name: str) -> str:
    return f"{service.capitalize()}{name[:1].upper()}{name[1:]}"


def _pointing(value: Any, targets: Mapping[str, str]) -> Any:
    match value:
        case {"$ref": str(target)} if target in targets:
            return {**value, "$ref": targets[target]}
        case dict():
            return {key: _pointing(item, targets) for key, item in _items(value)}
        case list():
            return [_pointing(item, targets) for item in _elements(value)]
        case _:
            return value


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items()


def _elements(value: Any) -> Iterable[Any]:
    return value


def _tagged(service: str, operation: Any, taken: set[str]) -> Any:
    if not isinstance(operation, dict):
        return operation
    found: dict[str, Any] = {**operation, "tags": [service]}  # pyright: ignore[reportUnknownVariableType]
    name = str(found.get("operationId", ""))
    if name in taken:
        found["operationId"] = f"{service}_{name}"
    taken.add(name)
    return found


@get("/docs", sync_to_thread=False)
def page() -> Response[bytes]:
    return Response((PAGE / "index.html").read_bytes(), media_type="text/html; charset=utf-8", headers=HEADERS)


@get("/docs/{name:str}", sync_to_thread=False)
def page_file(name: FromPath[str]) -> Response[bytes]:
    if name not in FILES:
        raise NotFound
    return Response((PAGE / name).read_bytes(), media_type=FILES[name], headers=HEADERS)


class OneDocument:
    """Merged once, until a service says something new: it takes as long as many answers, and they all wait for it."""

    def __init__(self) -> None:
        self._documents: Mapping[str, Mapping[str, Any]] = {}
        self._body = b""
        self._tag = ""

    def answer(self, documents: Mapping[str, Mapping[str, Any]], if_none_match: str | None) -> Response[bytes | None]:
        if not self._body or not _are_the_same(documents, self._documents):
            self._body = msgspec.json.encode(merged(documents))
            self._tag = tag_of(self._body)
            self._documents = documents
        headers = {**HEADERS, "ETag": self._tag}
        if is_known(self._tag, if_none_match):
            return Response(None, status_code=304, headers=headers)
        return Response(self._body, media_type=MEDIA_TYPE, headers=headers)


def _are_the_same(ours: Mapping[str, object], theirs: Mapping[str, object]) -> bool:
    """Of the same services, and no copies: a document is never changed, only replaced."""
    return ours.keys() == theirs.keys() and all(ours[service] is theirs[service] for service in ours)


router = Router("/", route_handlers=[page, page_file], include_in_schema=False)
