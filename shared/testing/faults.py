"""A wire that can be made slow, and a Redis of a test's own that can be killed, frozen and thawed."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tools.embedded.valkey import EmbeddedValkey


class Wire:
    """Passes bytes on to a port of this machine; answers come `delay_s` late, and none while `is_cut`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._ends: set[asyncio.StreamWriter] = set()
        self.delay_s = 0.0
        self.is_cut = False
        self.port = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.is_cut:
                raise ConnectionRefusedError
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        self._ends |= {writer, far_writer}
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer, is_answer=True))

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        with suppress(OSError):
            while part := await reader.read(65536):
                if is_answer and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(part)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        for end in self._ends:
            end.close()


@asynccontextmanager
async def wire_to(port: int) -> AsyncGenerator[Wire]:
    wire = Wire(port)
    server = await asyncio.start_server(wire.meet, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    yield wire
    server.close()
    wire.cut()
    await asyncio.sleep(0.05)


class OwnRedis:
    """Keeps what it was told over a kill, as a Redis with an append-only file does."""

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedValkey(directory, durable=True)
        self._server.start()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        return self._server.url

    async def kill(self) -> None:
        await asyncio.to_thread(self._server.process.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)

    async def freeze(self) -> None:
        os.kill(self._server.process.pid, signal.SIGSTOP)

    async def thaw(self) -> None:
        os.kill(self._server.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._server.process.kill()
