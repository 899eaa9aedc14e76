"""SQL over files, what uses them, how much room they take, and what is to go."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from services.communication.files.schemas import AttachedFile, DueFile, FileRow, Removal, Unused
from shared.database import Reader, Tx

ADD_FILE = """
INSERT INTO file (school_id, file_id, uploader_id, name, media_type, size_bytes, state, upload_id, created_at)
VALUES (%(school_id)s, %(file_id)s, %(uploader_id)s, %(name)s, %(media_type)s, %(size_bytes)s, %(state)s,
        %(upload_id)s, %(created_at)s)
"""


async def add_file(tx: Tx, *, school_id: UUID, row: FileRow) -> None:
    await tx.execute(
        ADD_FILE,
        school_id=school_id,
        file_id=row.file_id,
        uploader_id=row.uploader_id,
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        state=row.state,
        upload_id=row.upload_id,
        created_at=row.created_at,
    )


# Uses file_pkey and file_use_pkey.
FILES = """
SELECT file_id, uploader_id, name, media_type, size_bytes, state, upload_id, object_key, rejected_because, created_at,
       EXISTS (
           SELECT 1 FROM file_use WHERE file_use.school_id = file.school_id AND file_use.file_id = file.file_id
       ) AS is_used
FROM file
WHERE school_id = %(school_id)s
AND file_id = ANY(%(file_ids)s::uuid[])
ORDER BY file_id
LIMIT 1000
"""


async def files(reader: Reader, *, school_id: UUID, file_ids: Sequence[UUID]) -> list[FileRow]:
    return await reader.all(FileRow, FILES, school_id=school_id, file_ids=list(file_ids))


async def file(reader: Reader, *, school_id: UUID, file_id: UUID) -> FileRow | None:
    found = await files(reader, school_id=school_id, file_ids=[file_id])
    return found[0] if found else None


# Newest first. Uses file_uploader for a person's own, file_pkey for all of the school.
FILES_OF_UPLOADER = """
SELECT file_id, uploader_id, name, media_type, size_bytes, state, upload_id, object_key, rejected_because, created_at,
       false AS is_used
FROM file
WHERE school_id = %(school_id)s
AND (%(uploader_id)s::uuid IS NULL OR uploader_id = %(uploader_id)s)
AND (%(before_id)s::uuid IS NULL OR file_id < %(before_id)s)
ORDER BY file_id DESC
LIMIT %(limit)s
"""


async def files_of_uploader(
    reader: Reader, *, school_id: UUID, uploader_id: UUID | None, before_id: UUID | None, limit: int
) -> list[FileRow]:
    """Of everybody when no uploader is named."""
    return await reader.all(
        FileRow,
        FILES_OF_UPLOADER,
        school_id=school_id,
        uploader_id=uploader_id,
        before_id=before_id,
        limit=limit,
    )


# The locks come first: what is read after them is as whoever held them before has left it. In order of the ids.
LOCK_FILES = """
SELECT file_id
FROM file
WHERE school_id = %(school_id)s
AND file_id = ANY(%(file_ids)s::uuid[])
ORDER BY file_id
LIMIT 1000
FOR UPDATE
"""


async def locked_files(tx: Tx, *, school_id: UUID, file_ids: Sequence[UUID]) -> list[FileRow]:
    """Nobody else moves, attaches or deletes them until the transaction ends."""
    await tx.execute(LOCK_FILES, school_id=school_id, file_ids=list(file_ids))
    return await files(tx, school_id=school_id, file_ids=file_ids)


async def locked_file(tx: Tx, *, school_id: UUID, file_id: UUID) -> FileRow | None:
    found = await locked_files(tx, school_id=school_id, file_ids=[file_id])
    return found[0] if found else None


class FileId(msgspec.Struct, frozen=True, kw_only=True):
    file_id: UUID


# SKIP LOCKED: what somebody has in hand comes up again at the next look.
LOCK_FREE_FILES = """
SELECT file_id
FROM file
WHERE school_id = %(school_id)s
AND file_id = ANY(%(file_ids)s::uuid[])
ORDER BY file_id
LIMIT 1000
FOR UPDATE SKIP LOCKED
"""


async def locked_free_files(tx: Tx, *, school_id: UUID, file_ids: Sequence[UUID]) -> list[FileRow]:
    """Those of them that are in nobody else's hands."""
    free = await tx.all(FileId, LOCK_FREE_FILES, school_id=school_id, file_ids=list(file_ids))
    return await files(tx, school_id=school_id, file_ids=[each.file_id for each in free])


SET_UPLOAD = """
UPDATE file
SET upload_id = %(new)s
WHERE school_id = %(school_id)s
AND file_id = %(file_id)s
AND state = 'pending'
AND upload_id IS NOT DISTINCT FROM %(old)s::text
"""


async def set_upload(tx: Tx, *, school_id: UUID, file_id: UUID, old: str | None, new: str) -> bool:
    """False when another upload was begun meanwhile, or the file is not pending any more."""
    return await tx.execute(SET_UPLOAD, school_id=school_id, file_id=file_id, old=old, new=new) == 1


SETTLE_FILE = """
UPDATE file
SET state = %(state)s, object_key = %(object_key)s, rejected_because = %(rejected_because)s, upload_id = NULL,
    settled_at = %(now)s
WHERE school_id = %(school_id)s
AND file_id = %(file_id)s
"""


async def settle_file(tx: Tx, *, school_id: UUID, row: FileRow, now: datetime) -> None:
    await tx.execute(
        SETTLE_FILE,
        school_id=school_id,
        file_id=row.file_id,
        state=row.state,
        object_key=row.object_key,
        rejected_because=row.rejected_because,
        now=now,
    )


DELETE_FILE = """
DELETE FROM file
WHERE school_id = %(school_id)s
AND file_id = %(file_id)s
"""


async def delete_files(tx: Tx, *, school_id: UUID, file_ids: Sequence[UUID]) -> None:
    await tx.execute_many(DELETE_FILE, [{"school_id": school_id, "file_id": file_id} for file_id in file_ids])


# One row per school: parallel uploads wait for each other here, so that no two of them take the same room.
TAKE_ROOM = """
INSERT INTO file_usage AS usage (school_id, used_bytes)
SELECT %(school_id)s, %(size_bytes)s
WHERE %(size_bytes)s::bigint <= %(quota_bytes)s::bigint
ON CONFLICT (school_id) DO UPDATE
SET used_bytes = usage.used_bytes + excluded.used_bytes
WHERE usage.used_bytes + excluded.used_bytes <= %(quota_bytes)s
"""


async def take_room(tx: Tx, *, school_id: UUID, size_bytes: int, quota_bytes: int) -> bool:
    """False when the school would have more than its quota."""
    taken = await tx.execute(TAKE_ROOM, school_id=school_id, size_bytes=size_bytes, quota_bytes=quota_bytes)
    return taken == 1


GIVE_ROOM = """
UPDATE file_usage
SET used_bytes = used_bytes - %(size_bytes)s
WHERE school_id = %(school_id)s
"""


async def give_room(tx: Tx, *, school_id: UUID, size_bytes: int) -> None:
    await tx.execute(GIVE_ROOM, school_id=school_id, size_bytes=size_bytes)


USED_BYTES = """
SELECT used_bytes
FROM file_usage
WHERE school_id = %(school_id)s
"""


async def used_bytes(reader: Reader, *, school_id: UUID) -> int:
    return await reader.value(int, USED_BYTES, school_id=school_id) or 0


# Uses file_uploader and file_use_pkey; all that a person has uploaded and nobody has deleted.
UNUSED = """
SELECT count(*) FILTER (WHERE state = 'pending') AS pending_files,
       coalesce(sum(size_bytes), 0)::bigint AS unused_bytes
FROM file
WHERE school_id = %(school_id)s
AND uploader_id = %(uploader_id)s
AND state <> 'rejected'
AND NOT EXISTS (
    SELECT FROM file_use WHERE file_use.school_id = file.school_id AND file_use.file_id = file.file_id
)
"""


async def unused(reader: Reader, *, school_id: UUID, uploader_id: UUID) -> Unused:
    """What a person has uploaded, or begun to, that hangs on nothing."""
    found = await reader.one(Unused, UNUSED, school_id=school_id, uploader_id=uploader_id)
    assert found is not None
    return found


ADD_USE = """
INSERT INTO file_use (school_id, file_id, used_by_kind, used_by_id, position)
VALUES (%(school_id)s, %(file_id)s, %(used_by_kind)s, %(used_by_id)s, %(position)s)
ON CONFLICT (school_id, file_id, used_by_kind, used_by_id) DO UPDATE
SET position = excluded.position
"""


async def add_uses(tx: Tx, *, school_id: UUID, used_by_kind: str, used_by_id: UUID, file_ids: Sequence[UUID]) -> None:
    """In this order."""
    shared = {"school_id": school_id, "used_by_kind": used_by_kind, "used_by_id": used_by_id}
    await tx.execute_many(
        ADD_USE, [{**shared, "file_id": file_id, "position": number} for number, file_id in enumerate(file_ids)]
    )


REMOVE_USES = """
DELETE FROM file_use
WHERE school_id = %(school_id)s
AND file_id = ANY(%(file_ids)s::uuid[])
AND used_by_kind = %(used_by_kind)s
AND used_by_id = %(used_by_id)s
"""


async def remove_uses(
    tx: Tx, *, school_id: UUID, used_by_kind: str, used_by_id: UUID, file_ids: Sequence[UUID]
) -> None:
    await tx.execute(
        REMOVE_USES, school_id=school_id, used_by_kind=used_by_kind, used_by_id=used_by_id, file_ids=list(file_ids)
    )


# Uses file_use_user.
ATTACHED_FILES = """
SELECT file_use.used_by_id, file.file_id, file.name, file.media_type, file.size_bytes
FROM file_use
JOIN file ON file.school_id = file_use.school_id AND file.file_id = file_use.file_id
WHERE file_use.school_id = %(school_id)s
AND file_use.used_by_kind = %(used_by_kind)s
AND file_use.used_by_id = ANY(%(used_by_ids)s::uuid[])
ORDER BY file_use.used_by_id, file_use.position, file.file_id
LIMIT 10000
"""


async def attached_files(
    reader: Reader, *, school_id: UUID, used_by_kind: str, used_by_ids: Sequence[UUID]
) -> list[AttachedFile]:
    """What hangs on each of these, in the order in which it was attached."""
    return await reader.all(
        AttachedFile, ATTACHED_FILES, school_id=school_id, used_by_kind=used_by_kind, used_by_ids=list(used_by_ids)
    )


AWAIT_FILE = """
INSERT INTO file_due (school_id, file_id, due_at)
VALUES (%(school_id)s, %(file_id)s, %(due_at)s)
ON CONFLICT (school_id, file_id) DO UPDATE
SET due_at = excluded.due_at
"""


async def await_files(tx: Tx, *, school_id: UUID, file_ids: Sequence[UUID], due_at: datetime) -> None:
    """Look at them again then."""
    await tx.execute_many(
        AWAIT_FILE, [{"school_id": school_id, "file_id": file_id, "due_at": due_at} for file_id in file_ids]
    )


FORGET_FILES = """
DELETE FROM file_due
WHERE school_id = %(school_id)s
AND file_id = ANY(%(file_ids)s::uuid[])
"""


async def forget_files(tx: Tx, *, school_id: UUID, file_ids: Sequence[UUID]) -> None:
    await tx.execute(FORGET_FILES, school_id=school_id, file_ids=list(file_ids))


# Uses file_due_at.
CLAIM_DUE_FILES = """
-- unscoped: what is due at any school; ids only
SELECT school_id, file_id
FROM file_due
WHERE due_at <= %(now)s
ORDER BY due_at, school_id, file_id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""


async def claim_due_files(tx: Tx, *, now: datetime, limit: int) -> list[DueFile]:
    """What is due and in nobody else's hands; ours until the transaction ends."""
    return await tx.all(DueFile, CLAIM_DUE_FILES, now=now, limit=limit)


# -- unscoped: keys only. An object that is to go never comes back: the earlier instant counts.
ADD_REMOVAL = """
-- unscoped: keys only
INSERT INTO object_removal AS known (object_key, upload_id, due_at)
VALUES (%(object_key)s, %(upload_id)s, %(due_at)s)
ON CONFLICT (object_key) DO UPDATE
SET due_at = least(known.due_at, excluded.due_at), upload_id = coalesce(excluded.upload_id, known.upload_id)
"""


async def add_removals(tx: Tx, removals: Sequence[Removal], *, due_at: datetime) -> None:
    """These objects are to go then."""
    await tx.execute_many(ADD_REMOVAL, [{**msgspec.structs.asdict(each), "due_at": due_at} for each in removals])


WITHDRAW_REMOVAL = """
-- unscoped: keys only
DELETE FROM object_removal
WHERE object_key = %(object_key)s
AND attempt = 0
"""


async def withdraw_removal(tx: Tx, object_key: str) -> bool:
    """False when a worker is at it, or has been: the object may be gone."""
    return await tx.execute(WITHDRAW_REMOVAL, object_key=object_key) == 1


# Uses object_removal_due. Whoever takes one has until `retry_at`; a worker that dies leaves it to another.
CLAIM_REMOVALS = """
-- unscoped: keys only
UPDATE object_removal
SET attempt = attempt + 1, due_at = %(now)s + least(attempt + 1, 60) * %(retry)s::interval
WHERE object_key IN (
    SELECT object_key
    FROM object_removal
    WHERE due_at <= %(now)s
    ORDER BY due_at, object_key
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING object_key, upload_id
"""


async def claim_removals(tx: Tx, *, now: datetime, retry: timedelta, limit: int) -> list[Removal]:
    return await tx.all(Removal, CLAIM_REMOVALS, now=now, retry=retry, limit=limit)


END_REMOVALS = """
-- unscoped: keys only
DELETE FROM object_removal
WHERE object_key = ANY(%(object_keys)s::text[])
"""


async def end_removals(tx: Tx, object_keys: Sequence[str]) -> None:
    await tx.execute(END_REMOVALS, object_keys=list(object_keys))


CLAIM_SWEEP = """
-- unscoped: a position in the bucket
UPDATE bucket_sweep
SET due_at = %(lease_until)s
WHERE due_at <= %(now)s
RETURNING position
"""


async def claim_sweep(tx: Tx, *, now: datetime, lease_until: datetime) -> str | None:
    """After which key to go on; None when it is not due, or in another worker's hands."""
    return await tx.value(str, CLAIM_SWEEP, now=now, lease_until=lease_until)


MOVE_SWEEP = """
-- unscoped: a position in the bucket
UPDATE bucket_sweep
SET position = %(position)s, due_at = %(due_at)s
"""


async def move_sweep(tx: Tx, *, position: str, due_at: datetime) -> None:
    await tx.execute(MOVE_SWEEP, position=position, due_at=due_at)
