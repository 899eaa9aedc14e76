"""Files come in, are judged, are attached and go. Nothing here touches the bytes: signed URLs go out, verdicts come in.

Every step may be repeated, and may be the last before a crash: rows tell what is true, objects that no row wants go.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.communication.files import content, queries, rules
from services.communication.files.scanner import Scanner
from services.communication.files.schemas import (
    Download,
    Fault,
    FileRequest,
    FileRow,
    NewFile,
    Removal,
    Upload,
    UploadPart,
)
from services.communication.files.store import FileStore, StoredPart
from services.communication.settings import Settings
from shared import clock
from shared.contracts.communication import FileReady, FileRejected
from shared.database import Database, Reader, Tx
from shared.identity import Caller
from shared.ids import new_id
from shared.outbox import publish
from shared.problems import NotFound, Unavailable

ATTEMPT: Final = timedelta(hours=1)
"""So long after it was begun, a copy that became no file is removed."""


async def create_file(
    database: Database, store: FileStore, settings: Settings, caller: Caller, request: FileRequest
) -> NewFile:
    """A file that may be uploaded now.

    Raises TypeNotAllowed, FileTooLarge, QuotaExceeded, TooManyPending, TooMuchUnused, Unavailable.
    The store is asked before the transaction only: one that hangs then holds up no connection and no other upload.
    """
    row = _new_file(settings, caller, request)
    await _look_for_room(database.reader(school_id=caller.school, is_fresh=True), settings, caller, row)
    if rules.is_multipart(row.size_bytes):
        key = rules.quarantine_key(caller.school, row.file_id)
        row = rules.moved(row, upload_id=await store.begin_upload(key, media_type=row.media_type))
    async with database.transaction(school_id=caller.school) as tx:
        # Who is refused only here leaves an empty upload that nobody was told of; the look through the bucket ends it.
        await _take_room(tx, settings, caller, row)
        await queries.add_file(tx, school_id=caller.school, row=row)
        due_at = row.created_at + timedelta(hours=settings.file_pending_max_age_h)
        await queries.await_files(tx, school_id=caller.school, file_ids=[row.file_id], due_at=due_at)
    return NewFile(file=rules.shown(row), upload=_upload(store, settings, caller.school, row, there=[]))


def _new_file(settings: Settings, caller: Caller, request: FileRequest) -> FileRow:
    media_type = rules.media_type_of(request, allowed=settings.allowed_types, max_bytes=settings.file_max_bytes)
    return FileRow(
        file_id=new_id(),
        uploader_id=caller.user_id,
        name=rules.clean_name(request.name, media_type),
        media_type=media_type,
        size_bytes=request.size_bytes,
        state="pending",
        upload_id=None,
        object_key=None,
        rejected_because=None,
        created_at=clock.now(),
        is_used=False,
    )


async def _look_for_room(reader: Reader, settings: Settings, caller: Caller, row: FileRow) -> None:
    """Refuse what has no chance before anything is begun for it; what is decided is `_take_room`."""
    used, quota = await queries.used_bytes(reader, school_id=caller.school), settings.file_quota_bytes
    if used + row.size_bytes > quota:
        raise rules.quota_exceeded(row.size_bytes, used_bytes=used, quota_bytes=quota)
    await _require_own_share(reader, settings, caller, row)


async def _take_room(tx: Tx, settings: Settings, caller: Caller, row: FileRow) -> None:
    """Of the school, exactly: whoever else wants some waits here until this transaction ends."""
    quota = settings.file_quota_bytes
    if not await queries.take_room(tx, school_id=caller.school, size_bytes=row.size_bytes, quota_bytes=quota):
        used = await queries.used_bytes(tx, school_id=caller.school)
        raise rules.quota_exceeded(row.size_bytes, used_bytes=used, quota_bytes=quota)
    await _require_own_share(tx, settings, caller, row)


async def _require_own_share(reader: Reader, settings: Settings, caller: Caller, row: FileRow) -> None:
    rules.require_own_share(
        row.size_bytes,
        await queries.unused(reader, school_id=caller.school, uploader_id=caller.user_id),
        max_pending=settings.file_max_pending,
        max_unused_bytes=settings.file_max_unused_bytes,
    )


async def show_upload(
    database: Database, store: FileStore, settings: Settings, caller: Caller, file_id: UUID
) -> Upload:
    """What is missing of a file, with fresh URLs. Raises NotFound, FileSettled."""
    row = await _own(database.reader(school_id=caller.school), caller, file_id)
    if row.state != "pending":
        raise rules.FileSettled(f"It is {row.state}.")
    return await _upload_of(database, store, settings, caller.school, row)


async def _upload_of(database: Database, store: FileStore, settings: Settings, school_id: UUID, row: FileRow) -> Upload:
    """Asks the store what is there."""
    if await store.size_of(rules.quarantine_key(school_id, row.file_id)) == row.size_bytes:
        return _upload(store, settings, school_id, row, there=rules.parts_of(row.size_bytes))
    if not rules.is_multipart(row.size_bytes):
        return _upload(store, settings, school_id, row, there=[])
    row, there = await _begun(database, store, school_id, row)
    return _upload(store, settings, school_id, row, there=there)


def _upload(
    store: FileStore, settings: Settings, school_id: UUID, row: FileRow, *, there: Sequence[UploadPart | StoredPart]
) -> Upload:
    """Where to put what is not there."""
    key = rules.quarantine_key(school_id, row.file_id)
    expires_in = timedelta(seconds=settings.file_upload_url_s)
    expires_at = clock.now() + expires_in
    urls: dict[int, str] = {}
    for part in rules.missing(row.size_bytes, {part.number: part.size_bytes for part in there}):
        if row.upload_id is None:
            urls[part.number] = store.put_url(row, key, expires_in=expires_in)
        else:
            wanted = StoredPart(number=part.number, size_bytes=part.size_bytes, etag="")
            urls[part.number] = store.part_url(key, row.upload_id, wanted, expires_in=expires_in)
    return Upload(
        expires_at=expires_at,
        headers={} if rules.is_multipart(row.size_bytes) else {"Content-Type": row.media_type},
        parts=[_with_url(part, urls.get(part.number)) for part in rules.parts_of(row.size_bytes)],
    )


def _with_url(part: UploadPart, url: str | None) -> UploadPart:
    return UploadPart(number=part.number, offset=part.offset, size_bytes=part.size_bytes, url=url)


async def _begun(
    database: Database, store: FileStore, school_id: UUID, row: FileRow
) -> tuple[FileRow, list[StoredPart]]:
    """The file with its multipart upload and what is there of it; a new one when the store knows none."""
    key = rules.quarantine_key(school_id, row.file_id)
    if row.upload_id is not None and (there := await store.parts(key, row.upload_id)) is not None:
        return row, there
    begun = await store.begin_upload(key, media_type=row.media_type)
    async with database.transaction(school_id=school_id) as tx:
        is_ours = await queries.set_upload(tx, school_id=school_id, file_id=row.file_id, old=row.upload_id, new=begun)
    if is_ours:
        return rules.moved(row, upload_id=begun), []
    await store.abort_upload(key, begun)
    raise Unavailable("Somebody else asked for it in the same moment; ask again.", headers={"Retry-After": "1"})


async def complete_file(
    database: Database, store: FileStore, settings: Settings, caller: Caller, file_id: UUID, *, scanner: Scanner
) -> FileRow:
    """Judge a file that was uploaded: ready or rejected from now on. Raises NotFound, UploadIncomplete, Unavailable.

    What is judged is a copy to where nobody can write, not what lies in quarantine: the uploader may put something
    else there at any moment (ADR 0901). Completing what is settled changes nothing. A file stays pending for as long
    as the scanner does not say what it is (ADR 0903).
    """
    row = await _own(database.reader(school_id=caller.school), caller, file_id)
    if row.state != "pending":
        return row
    quarantine = rules.quarantine_key(caller.school, file_id)
    await _join(store, row, quarantine)
    size_bytes = await store.size_of(quarantine)
    if size_bytes is None:
        return await _settled_meanwhile(database, caller, file_id)
    if size_bytes != row.size_bytes:
        return await _settle(database, settings, caller.school, file_id, fault="wrong_size", object_key=None)
    final = rules.final_key(caller.school, file_id, new_id())
    async with database.transaction(school_id=caller.school) as tx:
        removal = Removal(object_key=final, upload_id=None)
        await queries.add_removals(tx, [removal], due_at=clock.now() + ATTEMPT)
    if not await store.copy(quarantine, final, media_type=row.media_type):
        return await _settled_meanwhile(database, caller, file_id)
    fault = await _fault_of(store, row, final) or await _scanned(database, store, scanner, caller.school, row, final)
    return await _settle(database, settings, caller.school, file_id, fault=fault, object_key=final)


async def _scanned(
    database: Database, store: FileStore, scanner: Scanner, school_id: UUID, row: FileRow, key: str
) -> Fault | None:
    """What the scanner says of a copy. Raises Unavailable; the copy then goes now, not at the end of its attempt.

    Else the store would fill with copies, of a file that is completed again and again until the scanner is back.
    """
    size_bytes = row.size_bytes
    try:
        return await scanner.fault_of(school_id, store.pieces(key, size_bytes=size_bytes), size_bytes=size_bytes)
    except Unavailable:
        async with database.transaction(school_id=school_id) as tx:
            await queries.add_removals(tx, [Removal(object_key=key, upload_id=None)], due_at=clock.now())
        raise


async def _join(store: FileStore, row: FileRow, quarantine: str) -> None:
    """Make the parts of a multipart upload one object; done before, or by somebody else, is as good."""
    if row.upload_id is None or (there := await store.parts(quarantine, row.upload_id)) is None:
        return
    if missing := rules.missing(row.size_bytes, {part.number: part.size_bytes for part in there}):
        numbers = [part.number for part in missing]
        raise rules.UploadIncomplete(f"Missing are parts {numbers}.", missing_parts=numbers)
    await store.finish_upload(quarantine, row.upload_id, there)


async def _fault_of(store: FileStore, row: FileRow, key: str) -> Fault | None:
    size_bytes = row.size_bytes
    if await store.size_of(key) != size_bytes:
        return "wrong_size"
    seen = min(content.WINDOW_BYTES, size_bytes)
    head = await store.read(key, first=0, count=seen)
    tail = head if seen == size_bytes else await store.read(key, first=size_bytes - seen, count=seen)
    return content.fault_of(row.media_type, content.Sample(size_bytes=size_bytes, head=head, tail=tail))


async def _settled_meanwhile(database: Database, caller: Caller, file_id: UUID) -> FileRow:
    """Nothing lies in quarantine: was the file completed by another call, or never uploaded?"""
    row = await _own(database.reader(school_id=caller.school), caller, file_id)
    if row.state == "pending":
        raise rules.UploadIncomplete("Upload it first; `GET …/upload` tells where.", missing_parts=[])
    return row


async def _settle(
    database: Database,
    settings: Settings,
    school_id: UUID,
    file_id: UUID,
    *,
    fault: Fault | None,
    object_key: str | None,
) -> FileRow:
    """What becomes of a file, once: of two that judge it at a time, the first decides."""
    now = clock.now()
    async with database.transaction(school_id=school_id) as tx:
        row = await queries.locked_file(tx, school_id=school_id, file_id=file_id)
        if row is None:
            raise NotFound
        if row.state != "pending":
            return row
        quarantined = Removal(object_key=rules.quarantine_key(school_id, file_id), upload_id=row.upload_id)
        if fault is None:
            assert object_key is not None
            if not await queries.withdraw_removal(tx, object_key):
                raise Unavailable("This took too long; complete it again.", headers={"Retry-After": "1"})
            row = rules.moved(row, state="ready", object_key=object_key)
        else:
            row = rules.moved(row, state="rejected", rejected_because=fault)
            copies = [Removal(object_key=object_key, upload_id=None)] if object_key else []
            await queries.add_removals(tx, copies, due_at=now)
        await _empty_quarantine(tx, settings, [quarantined], now=now)
        await _save_settled(tx, settings, school_id, row, now=now)
    return row


async def _empty_quarantine(tx: Tx, settings: Settings, quarantined: Sequence[Removal], *, now: datetime) -> None:
    """Not before the last URL to it has expired, so that nothing can be put there after it was removed."""
    removed_at = now + timedelta(seconds=settings.file_upload_url_s)
    await queries.add_removals(tx, quarantined, due_at=removed_at)


async def _save_settled(tx: Tx, settings: Settings, school_id: UUID, row: FileRow, *, now: datetime) -> None:
    await queries.settle_file(tx, school_id=school_id, row=row, now=now)
    due_at = now + timedelta(days=settings.file_unused_max_age_d)
    await queries.await_files(tx, school_id=school_id, file_ids=[row.file_id], due_at=due_at)
    if row.rejected_because is None:
        event = FileReady(
            file_id=row.file_id,
            name=row.name,
            media_type=row.media_type,
            size_bytes=row.size_bytes,
            uploaded_by=row.uploader_id,
        )
        await publish(tx, event, school_id=school_id, subject=str(row.file_id), version=1)
    else:
        event = FileRejected(file_id=row.file_id, reason=row.rejected_because, uploaded_by=row.uploader_id)
        await publish(tx, event, school_id=school_id, subject=str(row.file_id), version=1)
        await queries.give_room(tx, school_id=school_id, size_bytes=row.size_bytes)


async def delete_file(database: Database, settings: Settings, caller: Caller, file_id: UUID) -> None:
    """Raises NotFound, FileInUse. The worker removes the bytes."""
    async with database.transaction(school_id=caller.school) as tx:
        found = await queries.locked_file(tx, school_id=caller.school, file_id=file_id)
        row = rules.require_own(caller, found)
        if row.is_used:
            raise rules.FileInUse("Take it off first.")
        await discard(tx, settings, caller.school, [row])


async def discard(tx: Tx, settings: Settings, school_id: UUID, rows: Sequence[FileRow]) -> None:
    """Files that are locked and that nothing uses: their rows go now, their objects soon.

    Locks are taken in the order file, file_due, file_usage everywhere: who sweeps and who deletes never wait in a ring.
    """
    if not rows:
        return
    now, file_ids = clock.now(), [row.file_id for row in rows]
    await queries.forget_files(tx, school_id=school_id, file_ids=file_ids)
    await queries.delete_files(tx, school_id=school_id, file_ids=file_ids)
    kept = [Removal(object_key=row.object_key, upload_id=None) for row in rows if row.object_key is not None]
    await queries.add_removals(tx, kept, due_at=now)
    quarantined = [
        Removal(object_key=rules.quarantine_key(school_id, row.file_id), upload_id=row.upload_id)
        for row in rows
        if row.state == "pending"
    ]
    await _empty_quarantine(tx, settings, quarantined, now=now)
    freed = sum(row.size_bytes for row in rows if row.state != "rejected")
    await queries.give_room(tx, school_id=school_id, size_bytes=freed)


async def show_download(
    database: Database, store: FileStore, settings: Settings, caller: Caller, file_id: UUID
) -> Download:
    """For its uploader and the office. Raises NotFound, FileNotReady."""
    row = await _own(database.reader(school_id=caller.school), caller, file_id)
    return _signed(store, settings, row)


async def download_url(
    reader: Reader, store: FileStore, settings: Settings, school_id: UUID, file_id: UUID
) -> Download:
    """For other rooms, whose guards have decided that the caller may have this file.

    Raises NotFound, FileNotReady.
    """
    row = await queries.file(reader, school_id=school_id, file_id=file_id)
    if row is None:
        raise NotFound
    return _signed(store, settings, row)


def _signed(store: FileStore, settings: Settings, row: FileRow) -> Download:
    if row.state != "ready":
        raise rules.FileNotReady(f"It is {row.state}.")
    expires_in = timedelta(seconds=settings.file_download_url_s)
    expires_at = clock.now() + expires_in
    url = store.download_url(row, expires_at=expires_at, expires_in=expires_in)
    return Download(url=url, expires_at=expires_at)


async def attach(tx: Tx, caller: Caller, *, used_by_kind: str, used_by_id: UUID, file_ids: Sequence[UUID]) -> None:
    """For other rooms, in the transaction of what refers to these files, in this order: they stay while it does.

    A file that hangs there already may stay, whoever uploaded it. Raises UnknownFile, FileNotReady.
    """
    if not file_ids:
        return
    school_id = caller.school
    rows = {row.file_id: row for row in await queries.locked_files(tx, school_id=school_id, file_ids=file_ids)}
    there = await queries.attached_files(tx, school_id=school_id, used_by_kind=used_by_kind, used_by_ids=[used_by_id])
    attached = {each.file_id for each in there}
    rules.require_attachable(caller, file_ids, rows, attached=attached)
    await queries.forget_files(tx, school_id=school_id, file_ids=file_ids)
    await queries.add_uses(tx, school_id=school_id, used_by_kind=used_by_kind, used_by_id=used_by_id, file_ids=file_ids)


async def detach(
    tx: Tx, settings: Settings, school_id: UUID, *, used_by_kind: str, used_by_id: UUID, file_ids: Sequence[UUID]
) -> None:
    """For other rooms: these no longer hang there. What nothing uses any more is kept for some days."""
    await queries.locked_files(tx, school_id=school_id, file_ids=file_ids)
    await queries.remove_uses(
        tx, school_id=school_id, used_by_kind=used_by_kind, used_by_id=used_by_id, file_ids=file_ids
    )
    left = [row for row in await queries.files(tx, school_id=school_id, file_ids=file_ids) if not row.is_used]
    due_at = clock.now() + timedelta(days=settings.file_unused_max_age_d)
    await queries.await_files(tx, school_id=school_id, file_ids=[row.file_id for row in left], due_at=due_at)


async def _own(reader: Reader, caller: Caller, file_id: UUID) -> FileRow:
    return rules.require_own(caller, await queries.file(reader, school_id=caller.school, file_id=file_id))
