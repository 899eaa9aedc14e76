"""Files over HTTP; their bytes never come this way."""

from uuid import UUID

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.communication.files import actions, queries
from services.communication.files.rules import (
    FileInUse,
    FileNotReady,
    FileSettled,
    FileTooLarge,
    QuotaExceeded,
    TooManyPending,
    TooMuchUnused,
    TypeNotAllowed,
    UploadIncomplete,
    require_own,
    shown,
)
from services.communication.files.scanner import Scanner
from services.communication.files.schemas import Download, File, FileKey, FileRequest, FileUsage, NewFile, Upload
from services.communication.files.store import FileStore
from services.communication.settings import Settings
from shared.database import Database
from shared.identity import Caller, Role
from shared.pages import Cursor, Limit, Page, decode_cursor, page
from shared.problems import NotFound, Unavailable


@post(
    "/",
    operation_id="create_file",
    summary="Announce a file; the answer says where to upload it, in one piece or in parts.",
    opt={
        "permission": "file.upload",
        "problems": (TypeNotAllowed, FileTooLarge, QuotaExceeded, TooManyPending, TooMuchUnused, Unavailable),
    },
)
async def create_file(
    data: JSONBody[FileRequest],
    database: NamedDependency[Database],
    files: NamedDependency[FileStore],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> NewFile:
    return await actions.create_file(database, files, settings, caller, data)


@get(
    "/",
    operation_id="list_files",
    summary="Your files, newest first; for the office, all of the school.",
    opt={"permission": "file.upload"},
)
async def list_files(
    database: NamedDependency[Database], caller: NamedDependency[Caller], limit: Limit = 50, cursor: Cursor = None
) -> Page[File]:
    uploader_id = None if caller.role == Role.SCHOOL_ADMIN else caller.user_id
    before = decode_cursor(cursor, FileKey)
    reader = database.reader(school_id=caller.school)
    found = await queries.files_of_uploader(
        reader,
        school_id=caller.school,
        uploader_id=uploader_id,
        before_id=before.file_id if before else None,
        limit=limit + 1,
    )
    return page([shown(row) for row in found], limit=limit, path="/api/v1/files", key=lambda each: FileKey(each.id))


@get(
    "/usage",
    operation_id="show_file_usage",
    summary="How much room the school's files take, of how much there is.",
    opt={"permission": "file.usage"},
)
async def show_file_usage(
    database: NamedDependency[Database], settings: NamedDependency[Settings], caller: NamedDependency[Caller]
) -> FileUsage:
    used = await queries.used_bytes(database.reader(school_id=caller.school), school_id=caller.school)
    return FileUsage(used_bytes=used, quota_bytes=settings.file_quota_bytes)


@get(
    "/{file_id:uuid}",
    operation_id="show_file",
    summary="A file: for who uploaded it, and for the office.",
    opt={"permission": "file.upload", "problems": (NotFound,)},
)
async def show_file(
    file_id: FromPath[UUID], database: NamedDependency[Database], caller: NamedDependency[Caller]
) -> File:
    found = await queries.file(database.reader(school_id=caller.school), school_id=caller.school, file_id=file_id)
    return shown(require_own(caller, found))


@get(
    "/{file_id:uuid}/upload",
    operation_id="show_file_upload",
    summary="What of a file is not in the store yet, with fresh URLs: how an upload that broke off goes on.",
    opt={"permission": "file.upload", "problems": (NotFound, FileSettled, Unavailable)},
)
async def show_file_upload(
    file_id: FromPath[UUID],
    database: NamedDependency[Database],
    files: NamedDependency[FileStore],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Upload:
    return await actions.show_upload(database, files, settings, caller, file_id)


@post(
    "/{file_id:uuid}/complete",
    operation_id="complete_file",
    status_code=200,
    summary="Have an uploaded file judged: it is ready or rejected then. Again changes nothing.",
    opt={
        "permission": "file.upload",
        "unkeyed": "Again changes nothing, and what is to be removed must stand there before the copy.",
        "problems": (NotFound, UploadIncomplete, Unavailable),
    },
)
async def complete_file(
    file_id: FromPath[UUID],
    database: NamedDependency[Database],
    files: NamedDependency[FileStore],
    scanner: NamedDependency[Scanner],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> File:
    return shown(await actions.complete_file(database, files, settings, caller, file_id, scanner=scanner))


@get(
    "/{file_id:uuid}/download",
    operation_id="show_file_download",
    summary="A URL that downloads the file and is good for a few minutes.",
    opt={"permission": "file.upload", "problems": (NotFound, FileNotReady)},
)
async def show_file_download(
    file_id: FromPath[UUID],
    database: NamedDependency[Database],
    files: NamedDependency[FileStore],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> Download:
    return await actions.show_download(database, files, settings, caller, file_id)


@delete(
    "/{file_id:uuid}",
    operation_id="delete_file",
    summary="Delete a file that nothing refers to.",
    opt={"permission": "file.upload", "problems": (NotFound, FileInUse)},
)
async def delete_file(
    file_id: FromPath[UUID],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
    caller: NamedDependency[Caller],
) -> None:
    await actions.delete_file(database, settings, caller, file_id)


router = Router(
    "/api/v1/files",
    route_handlers=[
        create_file,
        list_files,
        show_file_usage,
        show_file,
        show_file_upload,
        complete_file,
        show_file_download,
        delete_file,
    ],
)
