"""A school whose people upload files, as a browser does it; and the files."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import httpx

from shared.identity import Role
from shared.ids import new_id
from shared.testing.tokens import Tokens

PDF: Final = "application/pdf"
PNG: Final = "image/png"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MEGABYTE: Final = 1024 * 1024


def pdf(size_bytes: int = 400) -> bytes:
    head, tail = b"%PDF-1.7\n", b"\nstartxref\n0\n%%EOF\n"
    filling = bytes(ord("0") + number % 10 for number in range(997))
    body = filling * (size_bytes // len(filling) + 1)
    return head + body[: size_bytes - len(head) - len(tail)] + tail


def png(width: int = 2, height: int = 2, *, extra: bytes = b"") -> bytes:
    """The header may lie about the size: that is what a bomb does."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), *([(b"tEXt", extra)] if extra else []), (b"IDAT", zlib.compress(b"\0\0\0" * 2)))
    made = b"".join(_chunk(kind, content) for kind, content in chunks)
    return b"\x89PNG\r\n\x1a\n" + made + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def jpeg(width: int = 4, height: int = 4, *, extra: bytes = b"") -> bytes:
    note = b"\xff\xfe" + struct.pack(">H", len(extra) + 2) + extra
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9) + note + frame + b"\xff\xda\xff\xd9"


def gif(width: int = 3, height: int = 3) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3) + b"\x2c" + bytes(20) + b"\x3b"


def webp(width: int = 3, height: int = 3) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def archive(entries: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return made.getvalue()


def docx(**entries: bytes) -> bytes:
    parts = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w:document/>"}
    return archive({**parts, **entries})


class FileSchool:
    """One school. Whoever is not named is the same teacher each time."""

    def __init__(self, client: httpx.AsyncClient, tokens: Tokens) -> None:
        self.client, self.tokens = client, tokens
        self.school_id, self.teacher_id = new_id(), new_id()

    async def ask(
        self, method: str, path: str, *, role: str = Role.TEACHER, user_id: UUID | None = None, **how: Any
    ) -> httpx.Response:
        headers = self.tokens.headers(role, school_id=self.school_id, user_id=user_id or self.teacher_id)
        return await self.client.request(method, f"/api/v1/files{path}", headers=headers, **how)

    async def create(
        self, size_bytes: int = 400, *, name: str = "plan.pdf", media_type: str = PDF, **who: Any
    ) -> httpx.Response:
        body = {"name": name, "size_bytes": size_bytes, "media_type": media_type}
        return await self.ask("POST", "", json=body, **who)

    async def created(self, size_bytes: int = 400, **how: Any) -> dict[str, Any]:
        answer = await self.create(size_bytes, **how)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def uploaded(self, content: bytes, **how: Any) -> str:
        """The id of a file whose bytes are in quarantine."""
        made = await self.created(len(content), **how)
        await put_all(made["upload"], content)
        return made["file"]["id"]

    async def complete(self, file_id: str, **who: Any) -> dict[str, Any]:
        answer = await self.ask("POST", f"/{file_id}/complete", **who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ready(self, content: bytes | None = None, **how: Any) -> str:
        file_id = await self.uploaded(content or pdf(), **how)
        assert (await self.complete(file_id))["state"] == "ready"
        return file_id

    async def download(self, file_id: str, **who: Any) -> httpx.Response:
        answer = await self.ask("GET", f"/{file_id}/download", **who)
        assert answer.status_code == 200, answer.text
        return await get(answer.json()["url"])

    async def state(self, file_id: str) -> str:
        return (await self.ask("GET", f"/{file_id}")).json()["state"]


async def put(url: str, content: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """With nothing but what a browser sends."""
    async with httpx.AsyncClient(verify=False) as browser:
        return await browser.put(url, content=content, headers=dict(headers or {}))


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as browser:
        return await browser.get(url)


async def put_all(upload: Mapping[str, Any], content: bytes) -> None:
    for part in upload["parts"]:
        if part["url"] is not None:
            body = content[part["offset"] : part["offset"] + part["size_bytes"]]
            answer = await put(part["url"], body, upload["headers"])
            assert answer.status_code == 200, answer.text
