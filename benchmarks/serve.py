"""A server under load: how fast beside the network alone, and whether every request gets what it asked for.

    serve.py MODEL --out records/serving.md [--requests 10000] [--clients 32] [--steps 20] [--rounds 5]

In turn, round by round: samples drawn in one process at the batch that pays, and as many requests of one sample each, from
clients that ask again as soon as they are answered. Each request has a seed of its own, and its picture is compared with
the one that was drawn directly. At the end the server is told to stop while all clients wait for an answer.
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

WANTED = 0.9
"""Of the network's own rate."""
ROUNDING = 1
"""Levels of 255 by which a picture may differ where a batch has another size."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a server under load.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("records/serving.md"))
    asked = parser.parse_args()
    text = "\n".join([*record(asked), ""])
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def record(asked: argparse.Namespace) -> Iterator[str]:
    model, each = Model.load(asked.model), asked.requests // asked.rounds
    alone, served, waits, wrong = list[float](), list[float](), list[NDArray[np.float64]](), 0
    with server(asked.model) as (process, told):
        for place in range(asked.rounds):
            seeds = range(place * each, (place + 1) * each)
            expected, rate = directly(model, seeds, told["batch"], asked.steps)
            found, seconds, whole = asyncio.run(load(told["address"], seeds, asked.clients, asked.steps))
            alone.append(rate)
            served.append(each / whole)
            waits.append(np.array(seconds))
            wrong += sum(not alike(one, other) for one, other in zip(found, expected, strict=True))
            print(f"round {place + 1}: {rate:.1f}/s alone, {served[-1]:.1f}/s served, {wrong} wrong", flush=True)
        answered = asyncio.run(ended(told["address"], process, asked.clients, asked.steps))
    ratios, every = np.array(served) / alone, np.concatenate(waits)
    yield "# Serving\n"
    yield (
        f"- {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) of the network's own best rate, "
        f"{asked.clients} clients; at least {WANTED}: **{answer(float(np.median(ratios)) >= WANTED)}**"
    )
    yield f"- {len(every):,} requests, none lost, {wrong} with another's or a wrong picture: **{answer(not wrong)}**"
    yield (
        f"- told to stop while {asked.clients} waited, it answered {answered} of them: "
        f"**{answer(answered == asked.clients)}**"
    )
    half, most = (float(np.quantile(every, share)) for share in (0.5, 0.99))
    yield f"\nTo the answer {half:.2f} s in the median, {most:.2f} at the 99th percentile, {every.max():.2f} at most"
    yield f"\n| round | samples a second, alone, {told['batch']} at once | served |\n|---|---|---|"
    for place, (one, other) in enumerate(zip(alone, served, strict=True), 1):
        yield f"| {place} | {one:.2f} | {other:.2f} |"
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


def directly(model: Model, seeds: range, batch: int, steps: int) -> tuple[list[NDArray[np.uint8]], float]:
    """The pictures of these seeds, and how many are drawn in a second."""
    began, pictures = perf_counter(), list[NDArray[np.uint8]]()
    for first in range(0, len(seeds), batch):
        keys = [(seed, 0) for seed in seeds[first : first + batch]]
        made = model.sample(len(keys), keys=keys, batch=batch, steps=steps)
        pictures += [np.asarray(as_picture(one)) for one in model.modality.encode(made.data)]
    return pictures, len(seeds) / (perf_counter() - began)


async def load(address: str, seeds: range, clients: int, steps: int) -> tuple[list[NDArray[np.uint8]], list[float], float]:
    """The pictures that clients got, the seconds that each waited, and those of all."""
    left, found, seconds = iter(seeds), dict[int, bytes](), list[float]()

    async def ask(client: httpx2.AsyncClient) -> None:
        for seed in left:
            began = perf_counter()
            response = await client.post(f"{address}/v1/samples", json={"seed": seed, "steps": steps})
            seconds.append(perf_counter() - began)
            found[seed] = b64decode(response.raise_for_status().json()["files"][0]["base64"])

    began = perf_counter()
    async with httpx2.AsyncClient(timeout=600) as client:
        await asyncio.gather(*(ask(client) for _ in range(clients)))
    whole = perf_counter() - began
    return [np.asarray(Image.open(BytesIO(found[seed]))) for seed in seeds], seconds, whole


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


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return one.shape == other.shape and int(np.abs(one.astype(int) - other).max()) <= ROUNDING


def answer(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    main()
