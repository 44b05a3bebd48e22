"""Our recipe, pellucid/recipes/fashion-mnist.toml without labels, on our network or on a peer's.

Everything is the recipe's but the length, which is what is compared, and the averages of the weights, of which the first
alone is kept: nobody chooses among several here. Training runs through `pellucid.training`, sampling through `Model.sample`.
"""

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from contenders.contender import Contender
from pellucid.codecs.identity import Identity
from pellucid.core.config import build
from pellucid.core.random import Key
from pellucid.denoisers import denoisers
from pellucid.losses import times, weightings
from pellucid.losses.denoising import DenoisingLoss
from pellucid.model.assemble import assemble_process
from pellucid.model.model import Model
from pellucid.networks import networks
from pellucid.networks.initialise import initialise
from pellucid.networks.network import Network
from pellucid.training.batches import Batches
from pellucid.training.conditions import Conditions
from pellucid.training.config import RunConfig, apply_settings, load_recipe, settled
from pellucid.training.ema import averages
from pellucid.training.journal import Journal
from pellucid.training.optimiser import build_optimiser
from pellucid.training.plan import Plan
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.state import TrainingState, checkpoints
from pellucid.training.steps import Steps

RECIPE = "fashion-mnist"
NEVER = 10**12  # samples between checkpoints: the benchmark says when
IDENTITY = "peers"
SAMPLING_STEPS = 25


class Ours(Contender):
    """Our recipe on a network.

    Arguments:
        network: called as ours are, with starting weights.
        pictures: (N, side, side), a byte each.
        samples: how many to train on, which decides the learning rate's curve.
        folder: of the run.
        settings: on top of the recipe's.
    """

    def __init__(
        self, network: Network, pictures: NDArray[np.uint8], samples: int, folder: Path, settings: Sequence[str] = ()
    ) -> None:
        self.side = pictures.shape[-1]
        self.folder = folder
        recipe = our_recipe(_on_disk(pictures, folder), samples)
        self.config = settled(apply_settings(recipe, list(settings)), "cpu")
        self.batch = self.config.training.batch
        prepared = prepare(self.config, folder / "data")
        self.model = _model(self.config, prepared, network)
        self.network = self.model.denoiser
        self.batches = _batches(self.config, prepared, self.model)
        self.state = _state(self.config, self.model)

    @property
    def seen(self) -> int:
        return self.state.seen

    def run(self, after: Callable[[], bool]) -> None:
        self.network.train()
        journal = Journal(self.folder, self.state.seen)
        steps = Steps(
            self.config.training, self.state, self.batches, self.folder, IDENTITY, journal, _Stopping(after)
        )  # fmt: skip
        with closing(journal), suppress(_Stopped):
            steps.run()

    def averaged(self) -> dict[str, Tensor]:
        return self.state.averages[0].average

    def draw(self, n: int, seed: int) -> Tensor:
        sampler = {"name": "ddim", "eta": 0.0}
        made = self.model.sample(n, sampler=sampler, steps=SAMPLING_STEPS, guidance=1.0, against="null", seed=seed, batch=n)
        return made.data.clamp(-1, 1)

    def save(self) -> Path:
        return self.state.save(self.folder, 1, IDENTITY)

    def restore(self) -> None:
        for path in checkpoints(self.folder)[-1:]:
            self.state.restore(path, IDENTITY)


def our_unet(channels: int, side: int) -> Network:
    """The recipe's network with our starting weights."""
    network: Network = build(
        networks, load_recipe(RECIPE).network, in_channels=channels, out_channels=channels, space=(side, side)
    )
    initialise(network, Key(0, "init"))
    return network


def our_recipe(data: Path, samples: int) -> RunConfig:
    """The recipe as it is trained here."""
    base = load_recipe(RECIPE)
    return apply_settings(base, [
        f"data.path={str(data)!r}", "data.condition=none", f"training.samples={samples}",
        f"training.ema=[{base.training.ema[0]}]", f"training.checkpoint_samples={NEVER}", "training.keep_checkpoints=1",
    ])  # fmt: skip


def _on_disk(pictures: NDArray[np.uint8], folder: Path) -> Path:
    """The pictures as an array that training reads."""
    path = folder / "pictures.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, pictures)
    return path


def _model(config: RunConfig, prepared: Prepared, network: Network) -> Model:
    """What `Model.create` makes, around a network that is in no registry."""
    section = {"sigma_data": prepared.facts.std, **config.denoiser}
    denoiser = build(denoisers, section, process=assemble_process(config), network=network, conditioners={})
    return Model(config.model_part(), prepared.facts, denoiser, Identity(), prepared.modality)


def _state(config: RunConfig, model: Model) -> TrainingState:
    """As `pellucid.training.loop.run` begins."""
    denoiser: Any = model.denoiser
    loss = DenoisingLoss(denoiser=denoiser, weighting=build(weightings, config.loss.weighting))
    optimiser = build_optimiser(config.optimiser, loss)
    plan = Plan(batch=config.training.batch, samples=config.training.samples)
    return TrainingState(loss, optimiser, averages(denoiser.state_dict(), config.training.ema), plan)


def _batches(config: RunConfig, prepared: Prepared, model: Model) -> Batches:
    return Batches(
        prepared.pack, prepared.modality, model.codec, model.denoiser.process, build(times, config.loss.times), config.seed,
        Conditions(), model.device, model.dtype,
    )  # fmt: skip


class _Stopped(Exception):  # noqa: N818
    """Training was asked to stop after a step."""


class _Stopping:
    """An observer that stops training when it is told to."""

    def __init__(self, after: Callable[[], bool]) -> None:
        self.after = after

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:  # noqa: ARG002
        if self.after():
            raise _Stopped
