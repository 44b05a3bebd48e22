"""Requests that begin and do not go on: a server waits for them only so long.

And what else it does not put up with: who asks or sends too much, and who does not read the answer.
"""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn
from PIL import Image as Pillow

from pellucid.modalities.read_picture import read_entry
from pellucid.modalities.series import Series
from pellucid.model.model import Model
from pellucid.serving import completions, drawing, guard, wire
from pellucid.serving.app import application
from pellucid.serving.retouching import _opened
from pellucid.serving.service import Limits, Service
from pellucid.sources.entry import Entry
from served import Served, serving, small_model
from served_kinds import model_of


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model(labels=("cat", "dog"))


@pytest.fixture(scope="module")
def served(model: Model) -> Iterator[Served]:
    with serving(model, samples=32) as found:
        yield found


def ask(served: Served, body: dict[str, Any]) -> httpx2.Response:
    return httpx2.post(f"{served.address}/v1/samples", json=body, timeout=60)


def png(picture: Pillow.Image) -> bytes:
    held = BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


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


def test_samples_are_bounded_however_they_are_asked_for(served: Served) -> None:
    """Edits, candidates and versions of a table as well as others; tables have as many as may be where nothing is said."""
    small = png(Pillow.new("RGB", (8, 8)))
    answer = httpx2.post(f"{served.address}/v1/images/edits", files={"image": small}, data={"n": "33"}, timeout=60)
    assert (answer.status_code, "n = 33: at most 32" in answer.text) == (400, True)
    with serving(model_of("text"), samples=8) as texts:
        for body in ({"source": "a", "n": 3, "candidates": 3}, {"prompt": "a", "n": 9}):
            answer = ask(texts, body)
            assert (answer.status_code, "at most 8 for a request" in answer.text) == (400, True), answer.text
        assert ask(texts, {"prompt": "a", "n": 8, "candidates": 64}).status_code == 200
    with serving(model_of("series"), samples=8) as tables:
        table = {"file": ("a.csv", b"a,b\n" + b"1,2\n" * 20)}
        onward = f"{tables.address}/v1/continuations"
        assert httpx2.post(onward, files=table, data={"length": "2"}, timeout=60).status_code == 200
        answer = httpx2.post(onward, files=table, data={"length": "2", "n": "9"}, timeout=60)
        assert (answer.status_code, "n = 9: at most 8" in answer.text) == (400, True)


def test_pixels_of_edits_are_bounded(model: Model) -> None:
    """Of what is sent, before it is decoded; with a mask of all versions together."""
    def edited(size: int, *, mask: bool = False, **data: str) -> tuple[int, str]:
        files = {"image": png(Pillow.new("RGB", (size, size)))} | (
            {"mask": png(Pillow.new("L", (size, size), 255))} if mask else {})
        found = httpx2.post(f"{served.address}/v1/images/edits", files=files, data=data, timeout=60)
        return found.status_code, found.text

    with serving(model, pixels=10_000) as served:
        status, told = edited(101)
        assert (status, "101 x 101 pixels: expected 10,000 at most" in told) == (413, True), told
        assert edited(50, mask=True, n="4")[0] == 200
        status, told = edited(50, mask=True, n="5")
        assert (status, "n = 5 versions of a picture of 2,500 pixels" in told) == (413, True), told
        assert edited(50, n="5")[0] == 200


def test_a_picture_is_decoded_once_and_is_what_it_was() -> None:
    """Of any mode: transparency on white, and where it was."""
    picture = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8))
    for mode in ("RGBA", "RGB", "LA", "L", "P", "1"):
        sent = picture.convert(mode)
        for channels in (1, 3):
            pixels, clear = _opened(png(sent), "image", channels, 100)
            entry = Entry(name="image", open=lambda sent=sent: BytesIO(png(sent)), suffix=None)
            assert np.array_equal(pixels, read_entry(entry, channels)[0]), mode
            alpha = read_entry(entry, 4)[0][3]
            assert (clear is None) == (alpha == 255).all() == (mode in ("RGB", "L", "1")), mode
            assert clear is None or np.array_equal(clear, 255 - alpha), mode


def test_frames_of_journeys_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "PICTURED", 192 * 5 * 4)
    assert ask(served, {"n": 4, "steps": 4, "journey": True}).status_code == 200
    answer = ask(served, {"n": 5, "steps": 4, "journey": True})
    assert answer.status_code == 400
    assert "5 x 5 frames of 192 are 4,800 numbers, expected 3,840 at most" in answer.json()["error"]["message"]
    assert ask(served, {"n": 5, "steps": 4}).status_code == 200
    monkeypatch.setattr(drawing, "LISTED", 12 * 5 * 4)
    with serving(model_of("text")) as texts:
        assert ask(texts, {"prompt": "a", "n": 4, "steps": 4, "journey": True}).status_code == 200
        assert ask(texts, {"prompt": "a", "n": 5, "steps": 4, "journey": True}).status_code == 400


def test_a_table_that_takes_long_holds_up_no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor its own answer beyond the deadline."""
    go, plain = Event(), Series.open

    def slow(series: Series, path: Path) -> Any:
        assert go.wait(20)
        return plain(series, path)

    monkeypatch.setattr(Series, "open", slow)
    with serving(model_of("series"), seconds=1) as tables:
        table = {"file": ("a.csv", b"a,b\n" + b"1,2\n" * 20)}

        async def both() -> tuple[httpx2.Response, httpx2.Response]:
            async with httpx2.AsyncClient(timeout=30) as client:
                onward = client.post(f"{tables.address}/v1/continuations", files=table, data={"length": "2", "n": "2"})
                late = asyncio.create_task(onward)
                while not tables.service.reader.drawing:
                    await asyncio.sleep(0.01)
                return await client.post(f"{tables.address}/v1/samples", json={"steps": 2}), await late

        made, late = asyncio.run(both())
        go.set()
        assert (made.status_code, late.status_code) == (200, 504)


def test_numbers_of_a_table_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "LARGEST", 2 * 2 * 22)
    with serving(model_of("series")) as tables:
        table = {"file": ("a.csv", b"a,b\n" + b"1,2\n" * 20)}
        onward, asked = f"{tables.address}/v1/continuations", {"length": "2", "steps": "2"}
        assert httpx2.post(onward, files=table, data={**asked, "n": "2"}, timeout=60).status_code == 200
        answer = httpx2.post(onward, files=table, data={**asked, "n": "3"}, timeout=60)
        assert (answer.status_code, "n = 3 versions of the table are 132 numbers" in answer.text) == (413, True)


LARGE = b'{"prompt": "", "n": 2, "size": "2000x2000", "output_format": "png", "seed": 1}'
"""Of an answer larger than what the system keeps for a client that does not read."""


def unread(address: str) -> socket.socket:
    """A client that asks, and reads but the first letters of the answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.connect(("127.0.0.1", int(address.rpartition(":")[2])))
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE)
    assert client.recv(8) == b"HTTP/1.1"
    return client


def test_it_ends_though_an_answer_is_not_read(model: Model) -> None:
    """In the time that it has for it, the batcher's included."""
    service, listening = Service(model, "small", limits=Limits(), rows=4), socket.create_server(("127.0.0.1", 0))
    app = application(service, grace=1)
    config = uvicorn.Config(app, http=wire.Wire, log_level="critical", timeout_graceful_shutdown=1)
    server = wire.Ending(config, lambda: service.close(1))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        sleep(0.01)
    with unread(f"http://127.0.0.1:{listening.getsockname()[1]}"):
        server.should_exit = True
        sleep(0.5)
        assert not service.batcher.alive, "it closes with the signal"
        thread.join(10)
        assert not thread.is_alive()


def test_a_second_signal_ends_at_once(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "small.safetensors")
    words = [sys.executable, "-m", "pellucid", "serve", str(tmp_path / "small.safetensors"), "--batch", "2", "--json"]
    with subprocess.Popen([*words, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with unread(json.loads(process.stdout.readline())["address"]):
                process.terminate()
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(1)
                process.terminate()
                assert process.wait(5) == -signal.SIGTERM
        finally:
            process.kill()
