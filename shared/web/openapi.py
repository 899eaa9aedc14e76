"""The OpenAPI document of a service: what Litestar derives from the handlers, plus what our house adds to each."""

from typing import Any

import msgspec
from litestar import Litestar

from shared.web.access import route_handlers
from shared.web.idempotency import declare_key, takes_key

LITESTARS_OWN = "/internal/schema"
PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}
PROBLEM_SCHEMA: dict[str, object] = {
    "type": "object",
    "required": ["type", "title", "status", "trace_id"],
    "properties": {
        "type": {"type": "string", "description": "A stable slug: /problems/<slug>."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "trace_id": {"type": "string"},
    },
}


def openapi_document(app: Litestar) -> dict[str, Any]:
    """The document as plain data, with problems and security declared on each operation."""
    # Litestar says that a local time of day is a duration; the house sends no durations.
    derived = msgspec.json.encode(app.openapi_schema.to_schema())
    document: dict[str, Any] = msgspec.json.decode(derived.replace(b'"format":"duration"', b'"format":"time-local"'))
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    handlers = {handler.operation_id: handler for handler in route_handlers(app)}
    document["paths"] = {path: item for path, item in document["paths"].items() if not path.startswith(LITESTARS_OWN)}
    for path in document["paths"].values():
        for operation in path.values():
            _complete(operation, handlers[operation["operationId"]].opt)
        if "post" in path and takes_key(handlers[path["post"]["operationId"]].opt, "POST"):
            declare_key(path["post"])
    return document


def _complete(operation: dict[str, Any], opt: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("400", None)
    responses["4XX"] = _problem_response(opt)
    responses["503"] = {
        "description": "A part we depend on does not answer.",
        "content": {"application/problem+json": {"schema": PROBLEM_REFERENCE}},
    }
    if not opt.get("public"):
        operation["security"] = [{"bearer": []}]
    if opt.get("credentials"):
        operation["x-quota"] = "credentials"
    if "reads" in opt:
        content = {opt["reads"]: {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": content}
    if "permission" in opt:
        operation["x-permission"] = opt["permission"]
    if "cached" in opt:
        responses["200"].setdefault("headers", {})["ETag"] = {
            "description": "Names this very answer; send it as `If-None-Match` to be told when nothing has changed.",
            "schema": {"type": "string"},
        }
        responses["304"] = {"description": "What `If-None-Match` names is still the answer."}


def _problem_response(opt: dict[str, Any]) -> dict[str, Any]:
    told = [f"`{problem.slug}`: {problem.title}." for problem in opt.get("problems", ())]
    return {
        "description": " ".join(["The request was refused.", *told]),
        "content": {"application/problem+json": {"schema": PROBLEM_REFERENCE}},
    }
