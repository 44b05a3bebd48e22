"""Requests that begin and do not go on: a server waits for them only so long."""

import socket
from time import monotonic

import pytest
import uvicorn

from pellucid.serving import guard, wire
from served import serving, small_model


def said(address: str, content: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=20) as client:
        client.sendall(content)
        found = b""
        while piece := client.recv(4096):
            found += piece
    return found


@pytest.mark.parametrize("content", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEADERS", 0.3)
    plain = uvicorn.Config
    monkeypatch.setattr(uvicorn, "Config", lambda app, **more: plain(app, http=wire.Wire, **more))
    with serving(small_model()) as served:
        began = monotonic()
        assert said(served.address, content) == b""
        assert 0.2 < monotonic() - began < 10


def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY", 0.3)
    head = b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    with serving(small_model()) as served:
        assert said(served.address, head + b"Content-Length: 50\r\n\r\n{").startswith(b"HTTP/1.1 408")
