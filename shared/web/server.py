"""uvicorn, closing in an order in which nobody who was let in is left without an answer."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import uvicorn

LAST_ASK_S: Final = 0.5
"""So long whoever was let in last has to ask: uvicorn alone would cut who was let in and not yet read, and a proxy in
front of us does not send a POST again."""


class Server(uvicorn.Server):
    """`on_close` is called when nobody is let in any more: it ends what would not end by itself, such as streams."""

    def __init__(self, config: uvicorn.Config, *, on_close: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._on_close = on_close

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        if self._on_close:
            self._on_close()
        await asyncio.sleep(LAST_ASK_S)
        await super().shutdown(sockets)
