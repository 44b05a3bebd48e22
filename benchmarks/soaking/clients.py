"""Honest clients, and the count of what came back."""

import asyncio
import json
from base64 import b64decode
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from time import monotonic
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from serve import alike


@dataclass
class Tally:
    """What came back, by the kind of request; what should not have."""

    came: Counter[tuple[str, str]] = field(default_factory=Counter)
    strange: set[str] = field(default_factory=set)
    wrong: int = 0
    lost: int = 0

    def note(self, kind: str, what: str, allowed: tuple[str, ...]) -> None:
        self.came[kind, what] += 1
        if what not in allowed:
            self.strange.add(f"{kind}: {what}")


class Honest:
    """Clients that ask for pictures whose seeds' pictures are known; where the server is busy they come again."""

    def __init__(self, address: str, key: str, expected: dict[int, NDArray[np.uint8]], steps: int) -> None:
        self.address, self.expected, self.steps, self._next = address, expected, steps, count()
        self._headers = {"Authorization": f"Bearer {key}"}

    async def run(self, tally: Tally, until: float, stream: bool) -> None:
        kind, seeds = "honest, events" if stream else "honest", list(self.expected)
        async with httpx2.AsyncClient(timeout=90, headers=self._headers) as client:
            while monotonic() < until:
                seed = seeds[next(self._next) % len(seeds)]
                try:
                    found = await self._ask(client, seed, stream)
                except (httpx2.HTTPError, KeyError, ValueError, IndexError) as error:
                    tally.lost += 1
                    tally.came[kind, f"lost: {type(error).__name__}"] += 1
                    continue
                if found is None:
                    tally.came[kind, "429"] += 1
                    await asyncio.sleep(0.5)
                    continue
                same = alike(np.asarray(Image.open(BytesIO(found))), self.expected[seed])
                tally.wrong += not same
                tally.came[kind, "right" if same else "wrong"] += 1

    async def _ask(self, client: httpx2.AsyncClient, seed: int, stream: bool) -> bytes | None:
        body = {"seed": seed, "steps": self.steps, "stream": stream}
        response = await client.post(f"{self.address}/v1/samples", json=body)
        if response.status_code == 429:
            return None
        response.raise_for_status()
        found: dict[str, Any] = last(response.text) if stream else response.json()
        return b64decode(found["files"][0]["base64"])


def last(events: str) -> Any:
    """What the last of some server-sent events holds."""
    return json.loads(events.strip().rpartition("data: ")[2])
