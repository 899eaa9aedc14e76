"""What a file may be called, how large it may be, where its bytes are, and who may have it. Pure."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import quote
from uuid import UUID

import msgspec

from services.communication.files.schemas import File, FileRequest, FileRow, Unused, UploadPart
from shared.identity import Caller, Role
from shared.problems import Conflict, FieldError, Invalid, NotFound, PayloadTooLarge

PART_BYTES: Final = 5 * 1024 * 1024
"""The smallest that S3 takes for any part but the last: what a broken connection costs at the most."""
SINGLE_BYTES: Final = 8 * 1024 * 1024
"""Up to here a file goes up in one piece."""

EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "application/pdf": (".pdf",),
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "text/plain": (".txt",),
    "text/csv": (".csv",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (".docx",),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx",),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (".pptx",),
}
"""Every type that `content` can judge, and what its files are called; no other can be allowed."""

NAME_LENGTH: Final = 150
STEM_BYTES: Final = 200
"""File systems count bytes: 255 for the whole name."""
KEPT_FORMATTING: Final = frozenset("\u200c\u200d")
"""Joiners: names in Persian or of emoji are misspelt without them. All other invisible characters go, such as those
that turn the direction of reading and show `gpj.exe` as `exe.jpg`."""
RESERVED: Final = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)
KEYS: Final = re.compile(
    r"school/(?P<school>[0-9a-f-]{36})/(?:quarantine/(?P<pending>[0-9a-f-]{36})|files/(?P<kept>[0-9a-f-]{36})/.*)"
)


class FileTooLarge(PayloadTooLarge):
    slug = "file-too-large"
    title = "The file is too large"


class TypeNotAllowed(Invalid):
    slug = "file-type-not-allowed"
    title = "Files of this type are not taken"


class QuotaExceeded(Conflict):
    slug = "file-quota-exceeded"
    title = "The school has no room left for this file"


class TooManyPending(Conflict):
    slug = "too-many-pending-files"
    title = "Complete or delete the files that you have begun to upload"


class TooMuchUnused(Conflict):
    slug = "too-much-unused"
    title = "Use or delete the files that you have uploaded"


class UploadIncomplete(Conflict):
    slug = "upload-incomplete"
    title = "Not all of the file has been uploaded"


class FileSettled(Conflict):
    slug = "file-settled"
    title = "This file is uploaded already"


class FileNotReady(Conflict):
    slug = "file-not-ready"
    title = "This file is not ready"


class FileInUse(Conflict):
    slug = "file-in-use"
    title = "Something refers to this file"


class UnknownFile(Invalid):
    slug = "unknown-file"
    title = "There is no such file of yours"


def media_type_of(request: FileRequest, *, allowed: Collection[str], max_bytes: int) -> str:
    """The declared type without its parameters. Raises TypeNotAllowed, FileTooLarge."""
    media_type = request.media_type.partition(";")[0].strip().lower()
    if media_type not in allowed:
        detail = f"There are: {', '.join(sorted(allowed))}."
        raise TypeNotAllowed(detail, errors=[FieldError("/media_type", detail)])
    if request.size_bytes > max_bytes:
        detail = f"{request.size_bytes} bytes; at the most {max_bytes}."
        raise FileTooLarge(detail, errors=[FieldError("/size_bytes", detail)], max_bytes=max_bytes)
    return media_type


def quota_exceeded(size_bytes: int, *, used_bytes: int, quota_bytes: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"{size_bytes} bytes; the school has {max(0, quota_bytes - used_bytes)} left of {quota_bytes}.",
        errors=[FieldError("/size_bytes", "More than is left.")],
        quota_bytes=quota_bytes,
        used_bytes=used_bytes,
    )


def require_own_share(size_bytes: int, own: Unused, *, max_pending: int, max_unused_bytes: int) -> None:
    """So that nobody takes a school's room alone. Raises TooManyPending, TooMuchUnused."""
    if own.pending_files >= max_pending:
        raise TooManyPending(f"There may be {max_pending} at a time.")
    if own.unused_bytes + size_bytes > max_unused_bytes:
        detail = f"You have {own.unused_bytes} bytes in files that nothing uses; there may be {max_unused_bytes}."
        raise TooMuchUnused(detail, max_unused_bytes=max_unused_bytes, unused_bytes=own.unused_bytes)


def clean_name(name: str, media_type: str) -> str:
    """A name that is safe to save a file of this type under, on any system, as near as can be to what was meant."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    visible = "".join(character for character in last if _is_visible(character))
    plain = re.sub(r"\s+", " ", re.sub(r'[<>:"|?*\s]', _plain, visible)).strip(". ")
    endings = EXTENSIONS[media_type]
    ending = next((each for each in endings if plain.lower().endswith(each)), None)
    stem = _shortened(plain[: -len(ending)] if ending else plain, NAME_LENGTH - len(ending or endings[0]))
    if not stem.strip("\u200c\u200d") or RESERVED.match(stem.partition(".")[0].strip()):
        stem = _shortened(f"file {stem}", NAME_LENGTH - len(ending or endings[0]))
    return stem + (plain[-len(ending) :] if ending else endings[0])


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    return character.isspace() or character in KEPT_FORMATTING or category[0] != "C"


def _plain(found: re.Match[str]) -> str:
    return " " if found.group().isspace() else "_"


def _shortened(stem: str, length: int) -> str:
    return stem[:length].encode()[:STEM_BYTES].decode(errors="ignore").strip(". ")


def quarantine_key(school_id: UUID, file_id: UUID) -> str:
    """Where its uploader may write; never read by anybody else."""
    return f"school/{school_id}/quarantine/{file_id}"


def final_key(school_id: UUID, file_id: UUID, attempt_id: UUID) -> str:
    """Where one attempt to complete a file puts its copy; no two attempts meet there."""
    return f"school/{school_id}/files/{file_id}/{attempt_id}"


def is_wanted(object_key: str, row: FileRow | None) -> bool:
    """Whether an object that was found in the bucket belongs to a file, or may come to."""
    return row is not None and (
        row.state == "pending" or (row.object_key == object_key and "/quarantine/" not in object_key)
    )


def owner_of(object_key: str) -> tuple[UUID, UUID] | None:
    """The school and the file that a key was made for; None for a key that we never made."""
    found = KEYS.fullmatch(object_key)
    try:
        return (UUID(found["school"]), UUID(found["pending"] or found["kept"])) if found else None
    except ValueError:
        return None


def is_multipart(size_bytes: int) -> bool:
    return size_bytes > SINGLE_BYTES


def parts_of(size_bytes: int) -> list[UploadPart]:
    """All parts of a file, none of them uploaded."""
    step = PART_BYTES if is_multipart(size_bytes) else size_bytes
    return [
        UploadPart(number=number, offset=offset, size_bytes=min(step, size_bytes - offset), url=None)
        for number, offset in enumerate(range(0, size_bytes, step), start=1)
    ]


def missing(size_bytes: int, there: Mapping[int, int]) -> list[UploadPart]:
    """The parts that are not in the store; `there` tells the size of each that is."""
    return [part for part in parts_of(size_bytes) if there.get(part.number) != part.size_bytes]


def shown(row: FileRow) -> File:
    return File(
        id=row.file_id,
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        state=row.state,
        rejected_because=row.rejected_because,
        created_at=row.created_at,
    )


def require_own(caller: Caller, row: FileRow | None) -> FileRow:
    """Raises NotFound for who is neither the file's uploader nor the office of its school."""
    if row is None or not may_have(caller, row):
        raise NotFound
    return row


def may_have(caller: Caller, row: FileRow) -> bool:
    return caller.role == Role.SCHOOL_ADMIN or row.uploader_id == caller.user_id


def require_attachable(
    caller: Caller, file_ids: Collection[UUID], rows: Mapping[UUID, FileRow], *, attached: Collection[UUID]
) -> None:
    """Raises UnknownFile for what is not the caller's to attach and not `attached` yet, FileNotReady."""
    for number, file_id in enumerate(file_ids):
        row = rows.get(file_id)
        if row is None or not (may_have(caller, row) or file_id in attached):
            raise UnknownFile(errors=[FieldError(f"/file_ids/{number}", "Not a file that you have uploaded.")])
        if row.state != "ready":
            raise FileNotReady(errors=[FieldError(f"/file_ids/{number}", f"It is {row.state}.")])


def disposition(name: str) -> str:
    """Content-Disposition as RFC 6266 wants it: saved, never shown; the ASCII name is for those who read no other."""
    simple = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    simple = re.sub(r"[^A-Za-z0-9._ -]", "_", simple).strip(". ") or "file"
    return f"attachment; filename=\"{simple}\"; filename*=UTF-8''{quote(name, safe='')}"


def moved(row: FileRow, **changes: object) -> FileRow:
    return msgspec.structs.replace(row, **changes)
