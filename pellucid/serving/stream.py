"""Server-sent events: how far the work is, then its result."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from json import dumps
from typing import Any

from fastapi.responses import StreamingResponse

from pellucid.serving.guard import explained


def event(name: str, data: Any) -> str:
    """One, on the wire."""
    return f"event: {name}\ndata: {dumps(data)}\n\n"


class News:
    """What a thread tells of its progress, for a loop that waits for it.

    Arguments:
        wanted: whether anybody reads it. What is told to nobody would only wake the loop, once for every step of every
            request, and the thread that draws wait for it.
    """

    def __init__(self, wanted: bool | None) -> None:
        self._wanted = bool(wanted)
        self._loop, self._queue = asyncio.get_running_loop(), asyncio.Queue[tuple[int, int] | None]()

    def tell(self, done: int, whole: int) -> None:
        """From any thread."""
        if self._wanted:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (done, whole))

    def response(self, answer: Awaitable[dict[str, Any]], last: str = "done") -> StreamingResponse:
        """Events `queued`, `progress` for every step, then the answer, called `last`, or `error`."""
        return StreamingResponse(self._events(answer, last), media_type="text/event-stream")

    async def _events(self, answer: Awaitable[dict[str, Any]], last: str) -> AsyncIterator[str]:
        found = asyncio.ensure_future(answer)
        found.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            yield event("queued", {})
            while (now := await self._queue.get()) is not None:
                yield event("progress", {"step": now[0], "steps": now[1]})
            yield event(last, await found)
        except Exception as error:
            yield event("error", explained(error)[1]["error"])
        finally:
            found.cancel()
