"""The server's side of a connection, which does not wait for ever for a request to begin."""

from asyncio import TimerHandle
from asyncio.transports import Transport

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
