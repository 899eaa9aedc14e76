"""The one place where an exception becomes an HTTP answer (RFC 9457)."""

import re
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from psycopg import DataError, OperationalError
from psycopg.errors import LockNotAvailable, QueryCanceled

from shared import problems, telemetry
from shared.problems import FieldError, Problem
from shared.text import in_words

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

BY_STATUS: dict[int, type[Problem]] = {
    problem.status: problem
    for problem in (
        problems.BadRequest,
        problems.Unauthenticated,
        problems.Forbidden,
        problems.NotFound,
        problems.MethodNotAllowed,
        problems.PayloadTooLarge,
        problems.UnsupportedMediaType,
        problems.Invalid,
        problems.TooManyRequests,
        problems.Unavailable,
    )
}


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`type` is a stable slug; `trace_id` finds the request in the logs and traces of every service."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []
    trace_id: str


def render(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem = as_problem(error)
    if problem.status >= 500 and not isinstance(error, Problem):
        log.error("request_failed", exc_info=error)
    telemetry.PROBLEMS.labels(request.app.state.service_name, problem.slug).inc()
    return Response(content=encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def encode(problem: Problem) -> bytes:
    document: dict[str, object] = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        **({"detail": problem.detail} if problem.detail else {}),
        **({"errors": problem.errors} if problem.errors else {}),
        **problem.extras,
        "trace_id": telemetry.trace_id(),
    }
    return msgspec.json.encode(document)


def as_problem(error: Exception) -> Problem:
    """The problem that tells the caller of any exception; unknown ones are a bare 500 without their text."""
    match error:
        case Problem():
            return error
        case ValidationException():
            return problems.BadRequest(_validation_detail(error), errors=_field_errors(error))
        case HTTPException():
            return _from_status(error)
        case RecursionError():
            return problems.BadRequest("The document is nested too deeply.")
        case UnicodeDecodeError():
            return problems.BadRequest("The document is not UTF-8.")
        case DataError():
            return problems.Invalid("A value is out of range or holds characters that cannot be stored.")
        case QueryCanceled() | LockNotAvailable() | OperationalError():
            return problems.Unavailable("The database is busy; try again.", headers={"Retry-After": "2"})
        case _:
            return Problem()


def _from_status(error: HTTPException) -> Problem:
    problem = BY_STATUS.get(error.status_code)
    if problem is None:
        return Problem() if error.status_code >= 500 else problems.BadRequest()
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return problem(error.detail if error.status_code == 400 else "", headers=headers)


def _validation_detail(error: ValidationException) -> str:
    return "" if error.extra else "The request cannot be read."


def _field_errors(error: ValidationException) -> list[FieldError]:
    extra = error.extra if isinstance(error.extra, list) else []
    return [_field_error(item) for item in extra if isinstance(item, dict)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _field_error(item: dict[str, Any]) -> FieldError:
    message, place = in_words(str(item.get("message", "Invalid."))), str(item.get("key", ""))
    if message == "'data'":
        return FieldError("", "A JSON body is needed.")
    source = str(getattr(item.get("source"), "value", item.get("source") or "body"))
    path = re.sub(r"\[(\d+|\.\.\.)\]", r"/\1", place).replace(".", "/")
    if source != "body":
        # A name that Python keeps for itself, such as `from`, has an underscore after it there.
        return FieldError(f"{source}/{path.rstrip('_')}", message)
    return FieldError("" if path in {"", "data"} else f"/{path}", message)
