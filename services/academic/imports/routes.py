"""Imports of a district over HTTP: upload, look at the dry run, apply."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.academic.imports import actions, queries
from services.academic.imports.rules import FileTooLarge, NotChecked, TooManyVanished
from services.academic.imports.schemas import ApplyRequest, ImportJob
from services.academic.settings import Settings
from shared import clock
from shared.database import Database
from shared.identity import Caller
from shared.objects import Objects
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound, UnsupportedMediaType

RUN = {"permission": "import.run"}
MEDIA_TYPES = frozenset({"application/zip", "application/x-zip-compressed", "application/octet-stream"})
UPLOAD_LIMIT_BYTES = 26 * 1024 * 1024
"""A little over the largest file that is taken, so that one too large is told so by name."""


class JobKey(msgspec.Struct, frozen=True):
    id: UUID


@post(
    "/imports",
    operation_id="upload_import",
    summary="Upload a OneRoster 1.1 or 1.2 CSV zip (`Content-Type: application/zip`); its check begins at once.",
    status_code=202,
    request_max_body_size=UPLOAD_LIMIT_BYTES,
    opt={**RUN, "problems": (FileTooLarge, UnsupportedMediaType), "reads": "application/zip"},
)
async def upload_import(
    request: Request[Any, Any, Any],
    database: NamedDependency[Database],
    objects: NamedDependency[Objects],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> ImportJob:
    if request.content_type[0] not in MEDIA_TYPES:
        raise UnsupportedMediaType("Send the file itself, with Content-Type: application/zip.")
    content = await request.body()
    if len(content) > settings.import_max_bytes:
        raise FileTooLarge(f"At most {settings.import_max_bytes} bytes are taken.")
    return await actions.upload(database, objects, content, user_id=caller.user_id, now=clock.now())


@get("/imports", operation_id="list_imports", summary="Imports, newest first.", opt=RUN)
async def list_imports(
    database: NamedDependency[Database], limit: Limit = 50, cursor: Cursor = None
) -> Page[ImportJob]:
    before = decode_cursor(cursor, JobKey)
    found = await queries.jobs(database.reader(), before=before.id if before else None, limit=limit + 1)
    return page(found, limit=limit, path="/api/v1/imports", key=lambda job: JobKey(job.id))


@get(
    "/imports/{job_id:uuid}",
    operation_id="show_import",
    summary="One import: how far it is, what is wrong with the file, what it changes.",
    opt={**RUN, "problems": (NotFound,)},
)
async def show_import(job_id: FromPath[UUID], database: NamedDependency[Database]) -> ImportJob:
    found = await queries.jobs(database.reader(), job_id=job_id)
    if not found:
        raise NotFound
    return found[0]


@post(
    "/imports/{job_id:uuid}/apply",
    operation_id="apply_import",
    summary="Apply an import that was checked; `GET` it to see how far it is.",
    status_code=202,
    opt={**RUN, "problems": (NotFound, NotChecked, TooManyVanished)},
)
async def apply_import(
    job_id: FromPath[UUID], data: JSONBody[ApplyRequest], database: NamedDependency[Database]
) -> ImportJob:
    return await actions.apply(database, job_id, data, now=clock.now())


router = Router("/api/v1", route_handlers=[upload_import, list_imports, show_import, apply_import])
