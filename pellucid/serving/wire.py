"""The server's side of a connection, which does not wait for ever for a request to begin."""

import signal
import socket
from asyncio import TimerHandle, sleep
from asyncio.transports import Transport
from collections.abc import Callable
from threading import Thread
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS = 20.0
"""Seconds that the head of a request may take; uvicorn alone would wait for ever."""


class Wire(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it; a connection whose request has no complete head in time is closed."""

    _waits: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._waits is None:
            self._waits = self.loop.call_later(HEADERS, self.transport.close)

    def _stop(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None


class Ending(uvicorn.Server):
    """A server that ends in time: what it serves begins to close with the first signal, and a second ends the process.

    Arguments:
        close: called in a thread of its own; takes as long as `timeout_graceful_shutdown` of the configuration at most.
    """

    def __init__(self, config: uvicorn.Config, close: Callable[[], None]) -> None:
        super().__init__(config)
        self._close = close

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        Thread(target=self._close, name="closing", daemon=True).start()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):  # of those who do not read
            connection.transport.abort()
        await sleep(0)  # in which they are

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        for one in (signal.SIGINT, signal.SIGTERM):  # the system's own way, which waits for nothing
            signal.signal(one, signal.SIG_DFL)
