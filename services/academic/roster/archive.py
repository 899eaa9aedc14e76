"""The zip, opened as if an enemy had packed it: nothing that it says of its own size is believed."""

import re
import struct
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from services.academic.roster.rules import RosterRejected

MAX_ZIP_BYTES = 25 * 1024 * 1024
MAX_UNPACKED_BYTES = 200_000_000
MAX_MEMBERS = 50
MAX_RATIO = 100
RATIO_FREE_BYTES = 1024 * 1024
"""Up to here a file may be packed as tightly as it likes."""
MAX_DIRECTORY_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024

MEMBER_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\.csv", re.ASCII)
IS_ENCRYPTED = 0x1 | 0x40 | 0x2000

END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\x05\x06"
ZIP64_LOCATOR_SIGNATURE = b"PK\x06\x07"
ZIP64_LOCATOR_BYTES = 20
MAX_COMMENT_BYTES = 65_535

BROKEN = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What `zipfile` raises when a file is not as it should be; it documents only the first."""


class Archive:
    """The CSV files of one zip. Raises RosterRejected wherever the zip cannot be trusted."""

    def __init__(self, file: BinaryIO) -> None:
        self._zip_bytes = require_small_zip(file)
        with rejecting_broken():
            self._zip = ZipFile(file)
        self._members = members_by_name(self._zip.infolist())
        self._unpacked_bytes = 0

    def names(self) -> list[str]:
        return list(self._members)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The unpacked file, piece by piece; its checksum is verified when the last one was read."""
        info = self._members[name]
        member_bytes = 0
        with rejecting_broken(name):
            member = self._zip.open(info)
        with member:
            while chunk := next_chunk(member, name):
                member_bytes += len(chunk)
                self._require_bounded(info, member_bytes, len(chunk))
                yield chunk

    def _require_bounded(self, info: ZipInfo, member_bytes: int, chunk_bytes: int) -> None:
        self._unpacked_bytes += chunk_bytes
        if self._unpacked_bytes > MAX_UNPACKED_BYTES:
            raise RosterRejected(f"The zip unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000} MB.")
        if member_bytes > RATIO_FREE_BYTES + MAX_RATIO * min(info.compress_size, self._zip_bytes):
            raise RosterRejected(f"{info.filename} unpacks to more than {MAX_RATIO} times its size.")


@contextmanager
def rejecting_broken(name: str | None = None) -> Generator[None]:
    """Raises RosterRejected for whatever `zipfile` makes of a damaged zip. Holds nothing but calls of `zipfile`."""
    try:
        yield
    except BROKEN as error:
        what = f"{name} in the zip" if name else "The file"
        raise RosterRejected(f"{what} is truncated or damaged, or not a zip at all.") from error


def next_chunk(member: IO[bytes], name: str) -> bytes:
    with rejecting_broken(name):
        return member.read(CHUNK_BYTES)


def require_small_zip(file: BinaryIO) -> int:
    """Returns its size. Looks at the directory's size before `zipfile` loads all of it, be it of a million members."""
    zip_bytes = file.seek(0, 2)
    if zip_bytes > MAX_ZIP_BYTES:
        raise RosterRejected(f"The zip is larger than {MAX_ZIP_BYTES // 1024 // 1024} MiB.")
    file.seek(max(0, zip_bytes - END_OF_DIRECTORY.size - MAX_COMMENT_BYTES - ZIP64_LOCATOR_BYTES))
    tail = file.read()
    at = end_of_directory(tail)
    if at < 0 or at + END_OF_DIRECTORY.size > len(tail):
        raise RosterRejected("The file is truncated or damaged, or not a zip at all.")
    if tail[:at][-ZIP64_LOCATOR_BYTES:].startswith(ZIP64_LOCATOR_SIGNATURE):
        raise RosterRejected("The zip is of the kind for very large files (ZIP64).")
    directory_bytes = END_OF_DIRECTORY.unpack_from(tail, at)[5]
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise RosterRejected(f"The zip holds more than {MAX_MEMBERS} files.")
    return zip_bytes


def end_of_directory(tail: bytes) -> int:
    """Where `zipfile` will look as well: at the very end, or else at the last signature before a comment."""
    at = len(tail) - END_OF_DIRECTORY.size
    if at >= 0 and tail.startswith(END_SIGNATURE, at) and tail.endswith(b"\0\0"):
        return at
    return tail.rfind(END_SIGNATURE, max(0, at - MAX_COMMENT_BYTES))


def members_by_name(members: list[ZipInfo]) -> dict[str, ZipInfo]:
    if len(members) > MAX_MEMBERS:
        raise RosterRejected(f"The zip holds more than {MAX_MEMBERS} files.")
    for member in members:
        require_plain(member)
    by_name = {member.filename: member for member in members}
    if len(by_name) < len(members):
        raise RosterRejected("The zip holds two files of the same name.")
    return by_name


def require_plain(member: ZipInfo) -> None:
    """`orig_filename` is the name as packed; `filename` was already made harmless by `zipfile`."""
    name = member.orig_filename
    if not MEMBER_NAME.fullmatch(name):
        raise RosterRejected(f"The zip holds {name[:100]!r}; it may only hold CSV files, in no folder.")
    if member.flag_bits & IS_ENCRYPTED:
        raise RosterRejected(f"{name} in the zip is encrypted.")
    if member.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise RosterRejected(f"{name} in the zip is packed in a way that is not read here; use Deflate.")
