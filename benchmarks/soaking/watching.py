"""A process from outside: memory, open files, threads, and how soon it says that it is well."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter

import httpx2

from soaking.clients import Tally

WARM = 20.0
"""Seconds before the first look."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A look at the server; memory in bytes, health in seconds."""

    memory: int
    files: int
    threads: int
    health: float


async def watch(address: str, pid: int, until: float, between: float, samples: list[Sample], tally: Tally) -> None:
    """Look at it every few seconds, and say how long it still takes."""
    await asyncio.sleep(min(WARM, (until - monotonic()) / 4))
    async with httpx2.AsyncClient(timeout=30) as client:
        while monotonic() < until:
            began = perf_counter()
            status = (await client.get(f"{address}/health")).status_code
            samples.append(look(pid, perf_counter() - began))
            tally.note("health", str(status), ("200",))
            left = max(0.0, until - monotonic())
            print(f"{left:.0f} s left: {samples[-1]}, {sum(tally.came.values()):,} requests", file=sys.stderr, flush=True)
            await asyncio.sleep(between)


def look(pid: int, health: float) -> Sample:
    process = Path("/proc") / str(pid)
    facts = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Sample(memory=1024 * int(facts["VmRSS"].split()[0]), threads=int(facts["Threads"]),
                  files=len(list((process / "fd").iterdir())), health=health)  # fmt: skip
