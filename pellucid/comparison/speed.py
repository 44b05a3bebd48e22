"""What a training sample costs: steps of several configurations taken in turn, so that a busy moment strikes all of them."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from pellucid.training.config import RunConfig, settled
from pellucid.training.journal import Journal
from pellucid.training.loop import assemble
from pellucid.training.prepare import prepare
from pellucid.training.steps import Steps

ROUNDS, STEPS = 5, 3
"""Rounds of timing, and steps of each in a round, after one to warm up."""

Tell = Callable[[int, int], None]


def time_steps(
    configs: Mapping[str, RunConfig], *, device: str = "cpu", rounds: int = ROUNDS, tell: Tell = lambda *_: None
) -> dict[str, list[float]]:
    """Seconds per sample of each step, by name; the data is packed once and for all.

    Arguments:
        configs: that differ in anything but the data.
        tell: is given the rounds done and all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in configs}
    with TemporaryDirectory() as folder, closing(Journal(Path(folder), 0)) as journal:
        steps = {name: _started(config, journal, Path(folder), device) for name, config in configs.items()}
        for each in range(rounds):
            for name, own in steps.items():
                own.step()
                for _ in range(STEPS):
                    start = perf_counter()
                    own.step()
                    times[name].append((perf_counter() - start) / own.config.batch)
            tell(each + 1, rounds)
    return times


def _started(config: RunConfig, journal: Journal, folder: Path, device: str) -> Steps:
    """A run that has not begun."""
    length = config.training.model_copy(update={"samples": 1_000_000, "minutes": None})
    config = settled(config.model_copy(update={"training": length}), device)
    _, state, batches = assemble(config, prepare(config, folder / "data"), device)
    return Steps(config.training, state, batches, folder, "", journal)
