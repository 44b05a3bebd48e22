"""A server under load: how fast beside the network alone, and whether every request gets what it asked for.

    serve.py MODEL --out records/serving.md [--requests 10000] [--clients 32] [--most 4] [--steps 20] [--rounds 5]

In turn, round by round: samples drawn in one process at the batch that pays, and requests for the same ones, of 1 to 4 each
in turn, from clients that ask again as soon as they are answered; one round more is of requests for one sample each, which
are fewer at once than the batch that pays. Each request has a seed of its own, and its pictures are compared with those that
were drawn directly. At the end the server is told to stop while all clients wait for an answer.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from resume import machine

from pellucid.core.files import atomic_write
from pellucid.modalities.canvas import as_picture
from pellucid.model.model import Model

Pixels = NDArray[np.uint8]
WANTED = 0.9
"""Of the network's own rate."""
ROUNDING = 1
"""Levels of 255 by which a picture may differ where a batch has another size."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a server under load.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--most", type=int, default=4, help="samples of a request")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("records/serving.md"))
    asked = parser.parse_args()
    text = "\n".join([*record(asked), ""])
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


@dataclass(frozen=True, kw_only=True)
class Round:
    """Samples a second, alone and served, the seconds that each request waited, and how many answers were wrong."""

    alone: float
    served: float
    waits: NDArray[np.float64]
    wrong: int

    @property
    def ratio(self) -> float:
        return self.served / self.alone


def record(asked: argparse.Namespace) -> Iterator[str]:
    model, each = Model.load(asked.model), asked.requests // asked.rounds
    with server(asked.model) as (process, told):
        rounds = list[Round]()
        for place in range(asked.rounds + 1):
            most = asked.most if place < asked.rounds else 1
            sizes = {seed: 1 + seed % most for seed in range(place * each, (place + 1) * each)}
            rounds.append(one_round(model, sizes, told, asked.clients, asked.steps))
            now = rounds[-1]
            print(f"round {place + 1}: {now.alone:.1f}/s alone, {now.served:.1f}/s served, {now.wrong} wrong", flush=True)
        answered = asyncio.run(ended(told["address"], process, asked.clients, asked.steps))
    *mixed, single = rounds
    ratios, every = np.array([one.ratio for one in mixed]), np.concatenate([one.waits for one in rounds])
    wrong = sum(one.wrong for one in rounds)
    yield "# Serving\n"
    yield (
        f"- {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) of the network's own best rate, "
        f"{asked.clients} clients that ask for 1 to {asked.most} samples; at least {WANTED}: "
        f"**{answer(float(np.median(ratios)) >= WANTED)}**"
    )
    yield f"- {single.ratio:.2f} of it where each asks for one, so that {asked.clients} at most can be made at once"
    yield f"- {len(every):,} requests, none lost, {wrong} with another's or a wrong picture: **{answer(not wrong)}**"
    yield (
        f"- told to stop while {asked.clients} waited, it answered {answered} of them: "
        f"**{answer(answered == asked.clients)}**"
    )
    half, most = (float(np.quantile(every, share)) for share in (0.5, 0.99))
    yield f"\nTo the answer {half:.2f} s in the median, {most:.2f} at the 99th percentile, {every.max():.2f} at most"
    yield f"\n| round | samples a second, alone, {told['batch']} at once | served |\n|---|---|---|"
    for place, one in enumerate(rounds, 1):
        yield f"| {place}{', of one each' if one is single else ''} | {one.alone:.2f} | {one.served:.2f} |"
    shape = " x ".join(map(str, model.facts.shape))
    size = sum(p.numel() for p in model.denoiser.parameters())
    yield f"\n- model: samples of {shape}, {size:,} parameters, {asked.steps} steps"
    yield "- command: in the docstring of benchmarks/serve.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()


@contextmanager
def server(model: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """One on a free port, and what it says of itself."""
    words = [sys.executable, "-m", "pellucid", "serve", str(model), "--port", "0", "--json", "--quiet"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def one_round(model: Model, sizes: dict[int, int], told: dict[str, Any], clients: int, steps: int) -> Round:
    """Requests of these seeds and sizes, after the same was drawn directly."""
    count = sum(sizes.values())
    expected, rate = directly(model, sizes, told["batch"], steps)
    found, seconds, whole = asyncio.run(load(told["address"], sizes, clients, steps))
    wrong = len(found.keys() - expected.keys())
    wrong += sum(not alike(found.get(key), picture) for key, picture in expected.items())
    return Round(alone=rate, served=count / whole, waits=np.array(seconds), wrong=wrong)


def directly(model: Model, sizes: dict[int, int], batch: int, steps: int) -> tuple[dict[tuple[int, int], Pixels], float]:
    """The pictures of these requests by (seed, place), and how many are drawn in a second."""
    keys, pictures = [(seed, place) for seed, n in sizes.items() for place in range(n)], list[Pixels]()
    began = perf_counter()
    for first in range(0, len(keys), batch):
        some = keys[first : first + batch]
        made = model.sample(len(some), keys=some, batch=batch, steps=steps)
        pictures += [np.asarray(as_picture(one)) for one in model.modality.encode(made.data)]
    return dict(zip(keys, pictures, strict=True)), len(keys) / (perf_counter() - began)


async def load(
    address: str, sizes: dict[int, int], clients: int, steps: int
) -> tuple[dict[tuple[int, int], Pixels], list[float], float]:
    """The pictures that clients got, the seconds that each request waited, and those of all."""
    left, found, seconds = iter(sizes.items()), dict[tuple[int, int], bytes](), list[float]()

    async def ask(client: httpx2.AsyncClient) -> None:
        for seed, n in left:
            began = perf_counter()
            response = await client.post(f"{address}/v1/samples", json={"seed": seed, "n": n, "steps": steps})
            seconds.append(perf_counter() - began)
            files = response.raise_for_status().json()["files"]
            found.update({(seed, place): b64decode(file["base64"]) for place, file in enumerate(files)})

    began = perf_counter()
    async with httpx2.AsyncClient(timeout=600) as client:
        await asyncio.gather(*(ask(client) for _ in range(clients)))
    whole = perf_counter() - began
    return {key: np.asarray(Image.open(BytesIO(content))) for key, content in found.items()}, seconds, whole


async def ended(address: str, process: subprocess.Popen[str], clients: int, steps: int) -> int:
    """How many of those that wait are answered when the server is told to stop."""
    async with httpx2.AsyncClient(timeout=600) as client:
        asked = {"steps": steps, "n": 4}
        waiting = [asyncio.create_task(client.post(f"{address}/v1/samples", json=asked)) for _ in range(clients)]
        while (await client.get(f"{address}/health")).json()["waiting"] < clients:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    return sum(isinstance(one, httpx2.Response) and one.status_code == 200 for one in answers)


def alike(one: Pixels | None, other: Pixels) -> bool:
    return one is not None and one.shape == other.shape and int(np.abs(one.astype(int) - other).max()) <= ROUNDING


def answer(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    main()
