"""Every way to draw pictures of the small model in so many network calls, theirs and ours, from the same noise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from pellucid.core.random import Keyed
from pellucid.interop.engine import Gain, accelerate
from pellucid.interop.load import load
from pellucid.interop.pretrained import Pretrained
from pellucid.model.model import Model
from pellucid.training.solver import TEACHER, TEACHER_STEPS, learn_solver
from sides.theirs import AnyPipeline, Peer, peers

BATCH = 100
SAMPLERS: dict[str, dict[str, Any]] = {
    "DPM-Solver++ 3": {"name": "dpmpp", "order": 3}, "UniPC 3": {"name": "unipc", "predictor_order": 3},
    "iPNDM 4": {"name": "ipndm", "history": 4},
}  # fmt: skip
GRIDS: dict[str, dict[str, Any]] = {
    "uniform": {"name": "uniform"}, "karras from 0.002": {"name": "karras", "sigma_min": 0.002},
}
LEARNED = "learned"
Settings = dict[str, Any]
Draw = Callable[[int, int, int], Tensor | None]
"""(calls, n, seed) -> pictures (n, 1, 28, 28) in [-1, 1]; None where no number of steps costs so many calls."""


@dataclass
class Theirs:
    """The pipeline that diffusers loads from a folder, given another of its samplers each time."""

    folder: Path

    def __post_init__(self) -> None:
        diffusers.utils.logging.disable_progress_bar()
        kind: Any = AnyPipeline
        self.pipeline = kind.from_pretrained(self.folder)
        self.pipeline.set_progress_bar_config(disable=True)
        self.config = self.pipeline.scheduler.config
        network = self.pipeline.unet.config
        self.shape = (network.in_channels, network.sample_size, network.sample_size)

    def run_by(self, network: Any) -> None:
        """Have another answer for the pipeline's network, which is told the step once for each picture."""
        self.pipeline.predict = lambda x, t: network(x, t.expand(len(x)).float(), return_dict=False)[0]

    def ways(self) -> dict[str, Draw]:
        def way(peer: Peer) -> Draw:
            return lambda calls, n, seed: self.draw(peer, calls, n, seed)

        return {name: way(peer) for name, peer in peers().items()}

    def draw(self, peer: Peer, calls: int, n: int, seed: int) -> Tensor | None:
        if (steps := peer.steps(calls)) is None:
            return None
        noise = Keyed(seed, range(n)).normal("prior", 0, self.shape).float()
        parts = (noise[first : first + BATCH] for first in range(0, n, BATCH))
        made = [torch.from_numpy(self.pictures(peer, steps, part)) for part in parts]
        return torch.cat(made).movedim(-1, 1) * 2 - 1

    def pictures(self, peer: Peer, steps: int, noise: Tensor) -> Any:
        """(B, H, W, C) in [0, 1], as the caller of a pipeline gets them."""
        self.pipeline.scheduler = peer.scheduler(self.config)
        return self.pipeline(noise, steps)


@dataclass
class Ours:
    """The model that pellucid makes of a folder, and the settings of solvers that were learned for it, by steps."""

    folder: Path
    solvers: dict[int, Settings] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model: Model = load(self.folder)

    def accelerate(self) -> Gain | None:
        """Have the fastest engine run the network from now on; None where that is torch."""
        return accelerate(self.model, "auto", rows=BATCH)

    def network(self) -> Any:
        assert isinstance(self.model.denoiser, Pretrained)
        return self.model.denoiser.network

    def teacher(self) -> Settings:
        """That solvers learn from."""
        return {"sampler": TEACHER, "steps": TEACHER_STEPS, "grid": self.model.denoiser.process.schedule.grid}

    def settings(self, name: str, calls: int) -> Settings:
        """Of sampling in so many calls."""
        if name == LEARNED:
            if calls not in self.solvers:
                solved = learn_solver(self.model, calls)
                self.solvers[calls], self.seconds[calls] = solved.sections, solved.seconds
            return {**self.solvers[calls], "steps": calls}
        sampler, _, grid = name.partition(", ")
        return {"sampler": SAMPLERS[sampler], "grid": GRIDS[grid], "steps": calls}

    def ways(self) -> dict[str, Draw]:
        def way(name: str) -> Draw:
            return lambda calls, n, seed: self.draw(self.settings(name, calls), n, seed)

        return {name: way(name) for name in (LEARNED, *(f"{sampler}, {grid}" for sampler in SAMPLERS for grid in GRIDS))}

    def draw(self, settings: Settings, n: int, seed: int) -> Tensor:
        return self.model.sample(n, seed=seed, batch=BATCH, **settings).data.clamp(-1, 1)
