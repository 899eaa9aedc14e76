"""An SMTP server that delivers nothing: each mail becomes a readable file.

Run by itself: `python -m tools.embedded.mail_sink --port 2525 --directory .run/mail`.
"""

import argparse
import asyncio
import itertools
import signal
import sys
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from tools.embedded.processes import Process, Server, free_port, is_listening

SIZE_LIMIT_BYTES = 10 * 1024 * 1024


class EmbeddedMailSink(Server):
    """Mails appear whole, one `.eml` each, in `directory`; their names sort by time of arrival."""

    def __init__(self, directory: Path, *, port: int | None = None, log: Path | None = None) -> None:
        self.port = port or free_port()
        self.directory = directory.absolute()
        self.process = Process(
            "The mail sink",
            [sys.executable, "-m", __name__, "--port", str(self.port), "--directory", self.directory],
            log=log or self.directory / "mail-sink.log",
            cwd=Path(__file__).parents[2],
        )

    def is_ready(self) -> bool:
        return is_listening(self.port)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


class FileHandler:
    """Called by aiosmtpd for each mail."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._serial = itertools.count()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        name = f"{time.time_ns():020d}-{next(self._serial):04d}.eml"
        unfinished = self._directory / f".{name}"
        unfinished.write_bytes(_as_received(envelope))
        unfinished.rename(self._directory / name)
        return "250 Message accepted for reading"


def _as_received(envelope: Envelope) -> bytes:
    """The mail below the addresses that the sender named on the envelope."""
    recipients = ", ".join(address or "" for address in envelope.rcpt_tos)
    head = f"X-Envelope-From: {envelope.mail_from or ''}\r\nX-Envelope-To: {recipients}\r\n"
    content = envelope.content or b""
    return head.encode() + (content if isinstance(content, bytes) else content.encode())


async def serve(port: int, directory: Path) -> None:
    """Accept mails on the loopback interface until a signal says stop."""
    handler = FileHandler(directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    server = await loop.create_server(
        lambda: SMTP(handler, data_size_limit=SIZE_LIMIT_BYTES, enable_SMTPUTF8=True), "127.0.0.1", port
    )
    async with server:
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write every mail into a folder.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(options.port, options.directory))


if __name__ == "__main__":
    main()
