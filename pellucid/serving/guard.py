"""What stands before all routes: a key, a bound on what is sent, figures, and errors in one form."""

from asyncio import wait_for
from json import dumps
from secrets import compare_digest
from time import monotonic, perf_counter
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pellucid.core.errors import PellucidError, UserError
from pellucid.serving.batcher import ClosedError, DroppedError, ExpiredError, FullError
from pellucid.serving.watch import Watch

RETRY = 2
"""Seconds after which it may be tried again where too much waits."""
NO_KEY = "The API key is missing or wrong: expected the header Authorization: Bearer KEY"
NO_QUERY = "What follows ? in the address holds bytes that no address has: expected them as %XX"
BODY = 60.0
"""Seconds that a body may take to come."""
LATE = f"The request's body did not come in {BODY:.0f} seconds"
OPEN = ("/health", "/openapi.json")
"""Paths that take no key, beside the page's own files."""


class LateError(UserError):
    """What was announced did not come."""


class TooLargeError(UserError):
    """More was sent than is taken."""


STATUS: dict[type[Exception], tuple[int, str]] = {
    FullError: (429, "rate_limit_error"), ClosedError: (503, "server_error"), ExpiredError: (504, "timeout_error"),
    DroppedError: (499, "client_closed_request"), TooLargeError: (413, "invalid_request_error"),
    UserError: (400, "invalid_request_error"),
}  # fmt: skip
"""The first that fits counts."""


def told(status: int, message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code or str(status)}}


def explained(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    """The status, body and headers that tell of an error; of one that is our fault nothing but that it is."""
    for known, (status, kind) in STATUS.items():
        if isinstance(error, known):
            return status, told(status, str(error), kind), {"Retry-After": str(RETRY)} if status == 429 else {}
    message = str(error) if isinstance(error, PellucidError) else "A fault in the server; its log tells which"
    return 500, told(500, message, "server_error"), {}


class Guard:
    """ASGI middleware.

    Arguments:
        app: what it stands before.
        watch: where every answer is counted, by the route it took.
        body: bytes of a request, at most.
        key: that a request has to carry, if any: `Authorization: Bearer KEY`.
    """

    def __init__(self, app: ASGIApp, *, watch: Watch, body: int, key: str | None = None) -> None:
        self.app, self.watch, self.body, self.key = app, watch, body, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, came, headers = perf_counter(), 500, 0, Headers(scope=scope)
        until, whole, late = monotonic() + BODY, False, False

        async def counted() -> Message:
            nonlocal came, whole, late
            try:
                message = await (receive() if whole else wait_for(receive(), max(0.0, until - monotonic())))
            except TimeoutError:
                late = True
                raise LateError from None
            whole = whole or not message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > self.body:
                raise TooLargeError
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def answered(message: Message) -> None:
            if late:
                if message["type"] == "http.response.start":
                    await _answer(noted, 408, told(408, LATE, "invalid_request_error"))
            elif came <= self.body:
                await noted(message)
            elif message["type"] == "http.response.start":  # whatever the application makes of a body cut short
                await _answer(noted, 413, told(413, self._too_large(came), "invalid_request_error"))

        try:
            if self.key is not None and not self._may(scope, headers):
                await _answer(noted, 401, told(401, NO_KEY, "authentication_error"))
            elif not scope.get("query_string", b"").isascii():
                await _answer(noted, 400, told(400, NO_QUERY, "invalid_request_error"))
            elif (length := headers.get("content-length", "0")).isdecimal() and int(length) > self.body:
                await _answer(noted, 413, told(413, self._too_large(int(length)), "invalid_request_error"))
            else:
                await self.app(scope, counted, answered)
        finally:
            route = scope.get("route")
            self.watch.answered(getattr(route, "path", "other"), status, perf_counter() - began)

    def _may(self, scope: Scope, headers: Headers) -> bool:
        open_ = scope["path"] in OPEN or scope["path"] == "/" or scope["path"].startswith("/page/")
        sent = headers.get("authorization", "").removeprefix("Bearer ").encode()
        return open_ or compare_digest(sent, (self.key or "").encode())

    def _too_large(self, size: int) -> str:
        return f"The request has {size:,} bytes or more: expected {self.body:,} at most"


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    content = dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
