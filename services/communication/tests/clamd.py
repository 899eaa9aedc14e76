"""The real clamd with the run files' own configuration and one signature, and others in its place that say anything."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from tools.embedded.processes import Process, Server, free_port, is_listening

CONFIGURATION: Final = Path(__file__).parents[3] / "deploy/clamav/clamd.conf"
CLAMD: Final = shutil.which("clamd", path=f"{os.environ['PATH']}:/usr/sbin") or "clamd"
EICAR: Final = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
"""What every scanner takes for a virus; in two parts, so that this file is none."""
OK: Final = b"stream: OK\0"

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Clamd(Server):
    """Knows the signature of EICAR's test string and nothing else. `options` replace lines of the configuration."""

    def __init__(self, directory: Path, **options: str) -> None:
        self.port = free_port()
        self._directory = directory / f"clamd-{self.port}"
        signatures = self._directory / "signatures"
        signatures.mkdir(parents=True)
        (signatures / "own.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
        text = CONFIGURATION.read_text()
        ours = {
            "TCPSocket": str(self.port),
            "TCPAddr": "127.0.0.1",
            "LocalSocket": str(self._directory / "socket"),
            "DatabaseDirectory": str(signatures),
            "TemporaryDirectory": str(self._directory),
            **options,
        }
        for option, value in ours.items():
            text, found = re.subn(rf"(?m)^{option} .+$", f"{option} {value}", text)
            assert found == 1, option
        configuration = self._directory / "clamd.conf"
        configuration.write_text(text)
        self.process = Process(
            "clamd", [CLAMD, "--foreground", f"--config-file={configuration}"], log=self._directory / "log"
        )

    def is_ready(self) -> bool:
        return is_listening(self.port)

    @property
    def url(self) -> str:
        return url_of(self.port)

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)


def url_of(port: int) -> str:
    return f"tcp://127.0.0.1:{port}"


class Impostor:
    """Listens where clamd should; what it does with a connection is a test's own idea. Counts who is with it."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._open: set[asyncio.StreamWriter] = set()
        self.most_at_a_time = 0
        self.url = ""

    @property
    def callers(self) -> int:
        return len(self._open)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.most_at_a_time = max(self.most_at_a_time, len(self._open))
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._behaviour(reader, writer)
        self._open.discard(writer)
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Impostor"]:
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = url_of(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            for writer in self._open:
                writer.transport.abort()
            await asyncio.sleep(0.05)


async def instream(reader: asyncio.StreamReader) -> list[bytes]:
    """Reads a whole INSTREAM, as strictly as clamd does; its pieces."""
    assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
    pieces: list[bytes] = []
    while length := int.from_bytes(await reader.readexactly(4)):
        pieces.append(await reader.readexactly(length))
    return pieces


def answering(answer: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await instream(reader)
        writer.write(answer)
        await writer.drain()

    return behave


async def hanging_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Takes everything, says nothing."""
    while await reader.read(65536):
        pass
