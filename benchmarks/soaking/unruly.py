"""Clients that are slow, broken, huge, hostile or too many: each sends something over a socket and notes what comes back."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from struct import pack
from typing import Any

from soaking.clients import Tally

Client = Callable[[int, str, Tally], Awaitable[None]]
CLOSED = "closed"
PATIENCE = 100.0
CROWD, FLOOD = 300, 40
PATH = "/v1/samples"


def request(
    body: bytes, key: str, *, path: str = PATH, more: str = "", length: int | None = None, method: str = "POST"
) -> bytes:  # fmt: skip
    """HTTP/1.1, as one likes it."""
    size = "" if length == -1 else f"Content-Length: {len(body) if length is None else length}\r\n"
    kind = "" if "Content-Type" in more else "Content-Type: application/json\r\n"
    fixed = f"Host: soak\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    head = f"{method} {path} HTTP/1.1\r\n{fixed}{kind}{size}{more}\r\n"
    return head.encode() + body


async def send(port: int, content: bytes, *, pause: float = 0.0, piece: int = 1 << 20, read: bool = True) -> str:
    """The status that comes back; or that the connection was closed."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return "refused"
    try:
        for place in range(0, len(content), piece):
            writer.write(content[place : place + piece])
            await writer.drain()
            await asyncio.sleep(pause)
        if not read:
            return CLOSED
        line = await asyncio.wait_for(reader.readline(), PATIENCE)
        while await asyncio.wait_for(reader.read(4096), PATIENCE):
            await asyncio.sleep(pause)
        return line.split()[1].decode() if line else CLOSED
    except TimeoutError:
        return "silence"
    except OSError:
        return CLOSED
    finally:
        writer.close()


def sends(kind: str, make: Callable[[str], bytes], allowed: tuple[str, ...], rest: float = 0.5, **how: Any) -> Client:
    """A client that sends the same again and again."""

    async def client(port: int, key: str, tally: Tally) -> None:
        tally.note(kind, await send(port, make(key), **how), allowed)
        await asyncio.sleep(rest)

    return client


def asked(**fields: Any) -> bytes:
    return json.dumps({"steps": 2, **fields}).encode()


def bomb() -> bytes:
    """A PNG of few bytes that says it has 900 million pixels."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + name + data + pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    picture = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**7))) + chunk(b"IEND", b"")
    return b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + picture + b"\r\n--b--\r\n"


async def crowd(port: int, key: str, tally: Tally) -> None:
    """Many connections that say nothing, all at once."""
    del key
    for what in await asyncio.gather(*(send(port, b"") for _ in range(CROWD))):
        tally.note("hostile: connections that say nothing", what, (CLOSED,))


async def flood(port: int, key: str, tally: Tally) -> None:
    """More than may wait."""
    body = request(asked(n=8), key)
    for what in await asyncio.gather(*(send(port, body) for _ in range(FLOOD))):
        tally.note("flood beyond the queue", what, ("200", "429", "504"))
    await asyncio.sleep(15)


BUSY = ("200", "429", "504")
FORM = "Content-Type: multipart/form-data; boundary=b\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
BIG = b"a" * 700_000
CLIENTS: list[Client] = [
    crowd, flood,
    sends("slow: a byte at a time", lambda key: request(asked(), key), BUSY, pause=0.02, piece=1),
    sends("slow: a head without end", lambda _: b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 40, (CLOSED, "400"), pause=1, piece=6),
    sends("slow: half a body, then nothing", lambda key: request(asked(), key, length=500), ("408",)),
    sends("slow: reads a piece a second", lambda key: request(asked(n=8, journey=True), key), BUSY, pause=0.2),
    sends("broken: half a request and away", lambda key: request(asked(), key)[:60], (CLOSED,), read=False),
    sends("broken: away while it waits", lambda key: request(asked(n=4), key), (CLOSED,), pause=0.05, read=False),
    sends("broken: JSON", lambda key: request(b'{"n": ', key), ("400",)),
    sends("broken: chunks", lambda key: request(b"zz\r\nno\r\n", key, more=CHUNKED, length=-1), ("400",)),
    sends("broken: HTTP", lambda _: b"\x16\x03\x01 what\r\n\r\n", ("400",)),
    sends("huge: a body", lambda key: request(BIG, key), ("413", CLOSED)),
    sends("huge: a body in chunks",
          lambda key: request(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BIG), BIG), key, more=CHUNKED, length=-1), ("413", CLOSED)),
    sends("huge: n", lambda key: request(asked(n=4000), key), ("400",)),
    sends("huge: a prompt", lambda key: request(asked(prompt="a" * 100_000), key), ("400",)),
    sends("huge: lists in lists", lambda key: request(b"[" * 200_000, key), ("400",)),
    sends("hostile: a path", lambda key: request(b"", key, path="/page/../../../etc/passwd", method="GET"), ("404",)),
    sends("hostile: script", lambda key: request(asked(label="<script>alert(1)</script>"), key), ("400",)),
    sends("hostile: a head of 100 KB", lambda key: request(asked(), key, more=f"X: {'a' * 100_000}\r\n"),
          (*BUSY, "400", "431")),
    sends("hostile: a picture that is a bomb",
          lambda key: request(bomb(), key, path="/v1/images/edits", more=FORM), ("400", "429", "504"), rest=2),
    sends("hostile: another key", lambda _: request(asked(), "wrong"), ("401",)),
]  # fmt: skip
