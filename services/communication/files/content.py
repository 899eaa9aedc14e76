"""Whether bytes are what they are said to be (ADR 0902). Pure, and sees only the beginning and the end of a file."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from services.communication.files.schemas import Fault

WINDOW_BYTES: Final = 256 * 1024
"""So much of each end is looked at."""
MAX_PIXELS: Final = 120_000_000
"""Decoded, four bytes each. The largest sensors of telephones and cameras make pictures of 108 million."""
MAX_UNPACKED_BYTES: Final = 500 * 1024 * 1024
MAX_ENTRIES: Final = 5_000

MARKUP: Final = re.compile(rb"<(script|html|!doctype|iframe|svg|body|\?php)[\s>/]", re.IGNORECASE)
LEADING_MARKUP: Final = re.compile(rb"^(\xef\xbb\xbf)?\s*(<[a-z!?/]|#!)", re.IGNORECASE)
CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
JPEG_SIZES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
OFFICE: Final = "application/vnd.openxmlformats-officedocument."


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The two ends of a file; they overlap when it is small."""

    size_bytes: int
    head: bytes
    tail: bytes


def fault_of(media_type: str, sample: Sample) -> Fault | None:
    """What is wrong with a file that was declared to be of `media_type`; None when nothing was found."""
    try:
        return JUDGES[media_type](sample)
    except (struct.error, IndexError):
        return "wrong_type"


def _png(sample: Sample) -> Fault | None:
    if sample.head[:8] != b"\x89PNG\r\n\x1a\n" or sample.head[12:16] != b"IHDR":
        return "wrong_type"
    if not sample.tail.endswith(PNG_END):
        return "mixed_types"
    return _picture(sample, *struct.unpack_from(">II", sample.head, 16))


def _gif(sample: Sample) -> Fault | None:
    if sample.head[:6] not in {b"GIF87a", b"GIF89a"}:
        return "wrong_type"
    # "GIF89a/*" begins a script as well as a picture 10,799 pixels wide.
    if sample.head[6:8] == b"/*" or not sample.tail.endswith(b"\x3b"):
        return "mixed_types"
    return _picture(sample, *struct.unpack_from("<HH", sample.head, 6))


def _webp(sample: Sample) -> Fault | None:
    head = sample.head
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return "wrong_type"
    if struct.unpack_from("<I", head, 4)[0] + 8 != sample.size_bytes:
        return "mixed_types"
    match head[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = (each & 0x3FFF for each in struct.unpack_from("<HH", head, 26))
        case _:
            return "wrong_type"
    return _picture(sample, width, height)


def _jpeg(sample: Sample) -> Fault | None:
    if sample.head[:3] != b"\xff\xd8\xff":
        return "wrong_type"
    # FF D8 FF E0 with the length "/*" begins a script as well as a picture.
    if sample.head[4:6] == b"/*":
        return "mixed_types"
    size = _jpeg_size(sample.head)
    # No demand for an end marker: telephones append clips and depth maps to photographs.
    return _picture(sample, *size) if size else "wrong_type"


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Width and height out of the frame header, from segment to segment; None when there is none in sight."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in JPEG_SIZES:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        at += 2 if 0xD0 <= marker <= 0xD8 or marker == 0x01 else 2 + struct.unpack_from(">H", head, at + 2)[0]
    return None


def _picture(sample: Sample, width: int, height: int) -> Fault | None:
    if width == 0 or height == 0:
        return "wrong_type"
    if width * height > MAX_PIXELS:
        return "too_many_pixels"
    is_mixed = _has_archive(sample) or b"%PDF-" in sample.head[:1024]
    return "mixed_types" if is_mixed or MARKUP.search(sample.head) or MARKUP.search(sample.tail) else None


def _pdf(sample: Sample) -> Fault | None:
    # Readers search the first 1024 bytes for it; whatever stands before would make the file something else as well.
    if not re.match(rb"%PDF-[12]\.\d", sample.head) or b"%%EOF" not in sample.tail[-2048:]:
        return "wrong_type"
    return "mixed_types" if _has_archive(sample) or MARKUP.search(sample.head[:1024]) else None


def _text(sample: Sample) -> Fault | None:
    """Any charset that keeps ASCII where it is; nothing that is taken for markup or run as a script."""
    if CONTROL.search(sample.head) or CONTROL.search(sample.tail):
        return "wrong_type"
    is_markup = LEADING_MARKUP.match(sample.head) or MARKUP.search(sample.head[:1024])
    return "mixed_types" if is_markup else None


def _has_archive(sample: Sample) -> bool:
    """Whether a ZIP ends in the end of this file: what finds its directory from behind takes the whole for a ZIP."""
    return b"PK\x05\x06" in sample.tail and b"PK\x01\x02" in sample.tail


class _Tail(io.RawIOBase):
    """A file of which only the end can be read."""

    def __init__(self, sample: Sample) -> None:
        self._tail, self._size, self._at = sample.tail, sample.size_bytes, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        begin = self._at - (self._size - len(self._tail))
        if begin < 0:
            raise OSError("out of sight")
        found = self._tail[begin:] if size is None or size < 0 else self._tail[begin : begin + size]
        self._at += len(found)
        return found


def _office(folder: str) -> Callable[[Sample], Fault | None]:
    """A ZIP with the parts that such a document must have. Sizes are those that its directory tells."""

    def judged(sample: Sample) -> Fault | None:
        if sample.head[:4] != b"PK\x03\x04":
            return "wrong_type"
        try:
            with zipfile.ZipFile(_Tail(sample)) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, zlib.error):
            return "wrong_type"
        names = [each.filename for each in entries]
        begins_at = min((each.header_offset for each in entries), default=None)
        if begins_at != 0 or "[Content_Types].xml" not in names or not any(n.startswith(folder) for n in names):
            return "wrong_type"
        if any(each.flag_bits & 1 or each.filename.startswith("/") or ".." in each.filename for each in entries):
            return "mixed_types"
        if len(entries) > MAX_ENTRIES or sum(each.file_size for each in entries) > MAX_UNPACKED_BYTES:
            return "unpacks_too_large"
        return "has_macros" if any("vbaproject" in name.lower() for name in names) else None

    return judged


JUDGES: Final[Mapping[str, Callable[[Sample], Fault | None]]] = {
    "application/pdf": _pdf,
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
    "text/plain": _text,
    "text/csv": _text,
    f"{OFFICE}wordprocessingml.document": _office("word/"),
    f"{OFFICE}spreadsheetml.sheet": _office("xl/"),
    f"{OFFICE}presentationml.presentation": _office("ppt/"),
}
