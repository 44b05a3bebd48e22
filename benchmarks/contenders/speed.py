"""Seconds per sample of whole steps of training, data to average, everybody in turn."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contenders.contender import Contender
from contenders.field import build_contender

ENDLESS = 10**9


def measure(names: list[str], pictures: NDArray[np.uint8], *, rounds: int, seconds: float) -> dict[str, dict[str, Any]]:
    """For each name its batch, its parameters, and seconds per sample in each round.

    A round takes every contender in turn: a step to warm up, then steps until `seconds` have passed, at least one.
    """
    with TemporaryDirectory() as folder:
        field = {name: build_contender(name, pictures, ENDLESS, Path(folder) / name) for name in names}
        found: dict[str, dict[str, Any]] = {
            name: {"batch": contender.batch, "parameters": _parameters(contender), "seconds": []}
            for name, contender in field.items()
        }
        for _ in range(rounds):
            for name, contender in field.items():
                found[name]["seconds"].append(_seconds_per_sample(contender, seconds))
    return found


def _seconds_per_sample(contender: Contender, seconds: float) -> float:
    moments: list[float] = []

    def after() -> bool:
        moments.append(perf_counter())
        return len(moments) > 1 and moments[-1] - moments[0] >= seconds

    contender.run(after)
    return (moments[-1] - moments[0]) / (len(moments) - 1) / contender.batch


def _parameters(contender: Contender) -> int:
    return sum(parameter.numel() for parameter in contender.network.parameters())
