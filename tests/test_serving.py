"""The server as clients see it: OpenAI's own client, plain HTTP, many at once, and those who ask for what cannot be."""

import asyncio
import json
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from PIL import Image as Pillow

from pellucid.modalities.canvas import as_picture
from pellucid.model.model import Model
from served import Served, serving, small_model
from served_kinds import model_of


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model(labels=("cat", "dog"))


@pytest.fixture(scope="module")
def served(model: Model) -> Iterator[Served]:
    with serving(model, samples=32, body=200_000) as found:
        yield found


def ask(served: Served, body: dict[str, Any], path: str = "/v1/samples", **more: Any) -> httpx2.Response:
    return httpx2.post(served.address + path, json=body, timeout=60, **more)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Pillow.open(BytesIO(content)))


def pictures(answer: dict[str, Any]) -> list[bytes]:
    return [b64decode(file["base64"]) for file in answer["files"]]


def png(picture: Pillow.Image) -> bytes:
    held = BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


def test_samples_are_those_of_the_model(served: Served, model: Model) -> None:
    """The same as from Python with the same seed, as pictures that open."""
    answer = ask(served, {"n": 3, "seed": 5, "label": "dog", "guidance": 2}).json()
    made = model.sample(3, seed=5, label="dog", guidance=2)
    expected = [np.asarray(as_picture(one)) for one in model.modality.encode(made.data)]
    for content, one in zip(pictures(answer), expected, strict=True):
        assert np.abs(pixels(content).astype(int) - one).max() <= 1
    assert (answer["seed"], answer["nfe"], answer["labels"]) == (5, made.nfe, ["dog"] * 3)


def test_many_at_once_get_what_they_would_get_alone(served: Served) -> None:
    """Forty requests of different seeds, labels, sizes and steps, in batches of four rows: none lost, none swapped."""
    bodies = [{"seed": seed, "n": 1 + seed % 3, "label": ("cat", "dog", ["dog", "cat"])[seed % 3], "steps": 3 + seed % 2}
              for seed in range(40)]  # fmt: skip
    alone = [pictures(ask(served, body).json()) for body in bodies]

    async def together() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.post(f"{served.address}/v1/samples", json=body) for body in bodies))

    found = [pictures(answer.json()) for answer in asyncio.run(together())]
    for one, other in zip(alone, found, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.abs(pixels(a).astype(int) - pixels(b)).max() <= 1
    figures = dict(line.rsplit(" ", 1) for line in httpx2.get(f"{served.address}/metrics").text.splitlines())
    small, every = figures['pellucid_batch_samples_bucket{le="2.0"}'], figures["pellucid_batch_samples_count"]
    assert float(every) - float(small) >= 10, "batches of more than two were made"


def test_openais_own_client(served: Served) -> None:
    """Pictures from words, which here are a label's, and edits: what is masked is new, the rest is as it was."""
    client = openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0)
    assert [one.id for one in client.models.list()] == ["small"]
    answer = client.images.generate(prompt="cat", n=2, model="small", response_format="b64_json", extra_body={"seed": 7})
    direct = pictures(ask(served, {"n": 2, "seed": 7, "label": "cat"}).json())
    assert [b64decode(one.b64_json or "") for one in answer.data or []] == direct
    large = client.images.generate(prompt="dog", size="1024x1024", response_format="url", output_format="webp").data
    assert large is not None
    kind, _, content = (large[0].url or "").partition(";base64,")
    assert (kind, pixels(b64decode(content)).shape) == ("data:image/webp", (1024, 1024, 3))
    picture = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    mask = np.full((8, 8, 4), 255, dtype=np.uint8)
    mask[2:5, 3:7, 3] = 0  # as OpenAI has it: transparent is made new
    sent = {"image": ("a.png", png(picture)), "mask": ("m.png", png(Pillow.fromarray(mask)))}
    edited = client.images.edit(**sent, prompt="dog", extra_body={"seed": 1, "steps": 3}).data  # type: ignore[call-overload]
    found = pixels(b64decode(edited[0].b64_json))
    kept = mask[..., 3] == 255
    assert (found[kept] == np.asarray(picture)[kept]).all()
    assert (found[~kept] != np.asarray(picture)[~kept]).any()
    with pytest.raises(openai.BadRequestError, match="did you mean 'cat'"):
        client.images.generate(prompt="cats")
    with pytest.raises(openai.NotFoundError, match="not served here"):
        client.models.retrieve("dall-e-3")


def test_a_stream_tells_of_every_step(served: Served) -> None:
    with httpx2.stream("POST", f"{served.address}/v1/samples", json={"steps": 4, "seed": 2, "stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        blocks = "".join(answer.iter_text()).strip().split("\n\n")
    events = [(block.split("\n")[0].removeprefix("event: "), json.loads(block.split("data: ", 1)[1])) for block in blocks]
    assert [name for name, _ in events] == ["queued", *["progress"] * 4, "done"]
    assert [data["step"] for _, data in events[1:5]] == [1, 2, 3, 4]
    assert pictures(events[-1][1]) == pictures(ask(served, {"steps": 4, "seed": 2}).json())
    client = openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0)
    last = list(client.images.generate(prompt="cat", stream=True, extra_body={"seed": 7}))[-1]
    assert last.type == "image_generation.completed"
    assert b64decode(last.b64_json) == pictures(ask(served, {"seed": 7, "label": "cat"}).json())[0]


def test_a_journey_ends_at_the_sample(served: Served) -> None:
    answer = ask(served, {"n": 2, "steps": 4, "seed": 2, "journey": True}).json()
    assert [len(frame) for frame in answer["journey"]] == [2] * 5
    assert [b64decode(one) for one in answer["journey"][-1]] == pictures(answer)
    assert answer["journey"][0] != answer["journey"][-1]


def test_a_file_alone_and_other_formats(served: Served) -> None:
    """`curl -H 'Accept: image/png'` gets the picture; a format, all samples in one file."""
    alone = ask(served, {"seed": 3}, headers={"Accept": "image/png"})
    assert (alone.headers["content-type"], alone.headers["x-seed"]) == ("image/png", "3")
    assert alone.content == pictures(ask(served, {"seed": 3}).json())[0]
    answer = ask(served, {"n": 5, "seed": 3, "format": "npy"}).json()
    assert np.load(BytesIO(pictures(answer)[0])).shape == (5, 3, 8, 8)


BAD = {
    "steps: Input should be greater than or equal to 1": {"steps": 0},
    "n = 33: at most 32 for a request": {"n": 33},
    "Unknown label 'dgo': did you mean 'dog'": {"label": "dgo"},
    "Unknown sampler 'eular': did you mean 'euler'": {"sampler": "eular"},
    "but the model was trained without captions": {"prompt": "a cat"},
    "guidance = 3 needs something to be guided to": {"guidance": 3},
    "colour: Extra inputs are not permitted": {"colour": "red"},
    "format = 'wav'": {"format": "wav"},
    "Model 'other' is not served here": {"model": "other"},
    "source, candidates and length are for models of texts": {"source": "Good day"},
    "label: Input should be a valid": {"label": {"$gt": ""}},
    "seed: Input should be greater than or equal to 0": {"seed": -1},
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_asked_for(served: Served, message: str) -> None:
    """One message, as OpenAI's clients read it, and never a traceback."""
    answer = ask(served, BAD[message])
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text


def test_bodies_that_are_none(served: Served) -> None:
    def post(path: str = "/v1/samples", **what: Any) -> httpx2.Response:
        return httpx2.post(served.address + path, timeout=60, **what)

    for content in (b"", b"{", b"[1]", b"\xff\xfe", b'{"n": NaN}', b"[" * 5000):
        assert post(content=content, headers={"Content-Type": "application/json"}).status_code == 400, content[:20]
    assert post(content=b'{"prompt": "' + b"x" * 300_000 + b'"}').status_code == 413
    pieces = (b"x" * 1000 for _ in range(300))  # no length is told beforehand
    assert post(content=pieces, headers={"Content-Type": "application/json"}).status_code == 413
    edit = "/v1/images/edits"
    assert "0 pictures came" in post(edit, files={"mask": b"x"}).json()["error"]["message"]
    assert "not a picture" in post(edit, files={"image": b"GIF89a.."}).json()["error"]["message"]
    assert "as text" in post(edit, data={"image": "x"}, files={"mask": b"x"}).json()["error"]["message"]
    bomb = BytesIO()
    Pillow.new("1", (20_000, 20_000)).save(bomb, "PNG")
    assert "more than" in post(edit, files={"image": bomb.getvalue()}).json()["error"]["message"]
    assert httpx2.get(f"{served.address}/v1/samples").status_code == 405
    for path in ("/page/../app.py", "/page/..%2fapp.py", "/page/%2e%2e/%2e%2e/etc/passwd", "/nowhere"):
        assert httpx2.get(served.address + path).status_code == 404, path
    assert httpx2.get(f"{served.address}/health").json()["status"] == "ok"


def test_what_is_given_is_content_and_no_path(tmp_path: Path) -> None:
    """Of several parts any may be given; the path of a file is a text like any other, and no sound."""
    (tmp_path / "word.txt").write_text("cab")
    with serving(model_of("joint")) as served:
        made = ask(served, {"n": 2, "given": {"text": "cab"}}).json()
        words = [file for file in made["files"] if file["name"].endswith(".txt")]
        assert [b64decode(file["base64"]) for file in words] == [b"cab\n"] * 2
        sound = next(file["base64"] for file in made["files"] if file["name"].endswith(".wav"))
        assert ask(served, {"given": {"sound": sound}}).status_code == 200
        for part, value, why in (
            ("text", str(tmp_path / "word.txt"), "does not fit"), ("sound", str(tmp_path / "word.txt"), "base64"),
            ("sound", "AAAA", "cannot be read as a sound"), ("smell", "cabs", "no part 'smell'"),
        ):  # fmt: skip
            answer = ask(served, {"given": {part: value}})
            assert (answer.status_code, why in answer.json()["error"]["message"]) == (400, True), answer.text


def test_a_key(model: Model) -> None:
    with serving(model, key="secret") as served:
        assert ask(served, {}).status_code == 401
        assert ask(served, {}, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert ask(served, {}, headers={"Authorization": "Bearer secret"}).status_code == 200
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=f"{served.address}/v1", api_key="wrong", max_retries=0).images.generate(prompt="cat")
        assert httpx2.get(f"{served.address}/health").status_code == 200
        assert httpx2.get(f"{served.address}/page/index.html").status_code == 200
        assert httpx2.get(f"{served.address}/metrics").status_code == 401


class Slow:
    """Has every network call of a model wait."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.calls, plain = Event(), 0, model.denoiser.forward

        def forward(*given: Any, **more: Any) -> Any:
            self.calls += 1
            assert self.go.wait(20)
            return plain(*given, **more)

        monkeypatch.setattr(model.denoiser, "forward", forward)


def until(true: Any) -> None:
    end = monotonic() + 20
    while not true():
        assert monotonic() < end
        sleep(0.01)


def test_too_many_are_told_to_come_again(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that takes too long is told so."""
    slow = Slow(model, monkeypatch)

    async def crowd(address: str, service: Any) -> list[int]:
        async with httpx2.AsyncClient(timeout=60) as client:
            first = asyncio.create_task(client.post(f"{address}/v1/samples", json={"n": 4}))
            while len(service.batcher.drawing) < 4:
                await asyncio.sleep(0.01)
            rest = [asyncio.create_task(client.post(f"{address}/v1/samples", json={"n": 3})) for _ in range(3)]
            answers = [await one for one in rest]
            slow.go.set()
            busy = [answer for answer in answers if answer.status_code == 429]
            assert all(int(answer.headers["retry-after"]) > 0 for answer in busy)
            return [answer.status_code for answer in (*answers, await first)]

    with serving(model, waiting=4, seconds=2) as served:
        assert sorted(asyncio.run(crowd(served.address, served.service))) == [429, 429, 504, 504]
        assert ask(served, {}).status_code == 200


def test_work_for_a_client_that_left_is_dropped(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(model, monkeypatch)
    with serving(model) as served:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{served.address}/v1/samples", json={"steps": 50}, timeout=0.5)
        slow.go.set()
        until(lambda: not served.service.batcher.drawing)
        assert slow.calls < 40
        assert ask(served, {}).status_code == 200


def test_shutting_down_finishes_what_runs(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes, whole; who comes later is not let in."""
    slow = Slow(model, monkeypatch)

    async def leave(served: Served) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=60) as client:
            running = asyncio.create_task(client.post(f"{served.address}/v1/samples", json={"n": 6, "seed": 1}))
            while not served.service.batcher.drawing:
                await asyncio.sleep(0.01)
            served.server.should_exit = True
            await asyncio.sleep(0.3)
            slow.go.set()
            return await running

    with serving(model) as served:
        answer = asyncio.run(leave(served))
        served.thread.join(20)
        assert not served.thread.is_alive()
        with pytest.raises(httpx2.ConnectError):
            ask(served, {})
    assert answer.status_code == 200
    assert len(answer.json()["files"]) == 6


def test_a_grey_mask_is_white_where_it_is_new(served: Served) -> None:
    """And strength alone, or nothing, changes the whole picture."""
    picture = Pillow.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    grey = np.zeros((8, 8), dtype=np.uint8)
    grey[:, :4] = 255
    files = {"image": png(picture), "mask": png(Pillow.fromarray(grey))}
    edits, asked = f"{served.address}/v1/images/edits", {"seed": "4", "label": "cat"}
    answer = httpx2.post(edits, files=files, data=asked, timeout=60).json()
    found = pixels(b64decode(answer["data"][0]["b64_json"]))
    assert (found[:, 4:] == np.asarray(picture)[:, 4:]).all()
    assert (found[:, :4] != np.asarray(picture)[:, :4]).any()
    for data in ({}, {"strength": "0.3"}):
        answer = httpx2.post(edits, files={"image": png(picture)}, data=data, timeout=60)
        assert len(answer.json()["data"]) == 1


def test_the_command_and_its_end(model: Model, tmp_path: Path) -> None:
    """It says where it is, answers there, ends on a signal; a second on the same port is told why it cannot."""
    model.save(tmp_path / "small.safetensors")
    words = [sys.executable, "-m", "pellucid", "serve", str(tmp_path / "small.safetensors"), "--batch", "2", "--json"]
    with subprocess.Popen([*words, "--port", "0", "--seed", "3"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            assert told["model"] == "small"
            answer = httpx2.post(f"{told['address']}/v1/samples", json={}, timeout=60).json()
            assert answer["seed"] == 3
            again = [*words, "--port", told["address"].rpartition(":")[2]]
            second = subprocess.run(again, capture_output=True, text=True, check=False)
            assert second.returncode == 2
            assert "something else listens there" in second.stderr
            process.terminate()
            assert process.wait(30) == -signal.SIGTERM
        finally:
            process.kill()
