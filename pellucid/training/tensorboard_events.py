"""TensorBoard events of a run, in RUN/tensorboard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class TensorboardEvents:
    """A curve for each number.

    Arguments:
        folder: of the run.
        seen: samples seen by the checkpoint that is resumed from; later points are dropped.
    """

    def __init__(self, folder: Path, seen: int) -> None:
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=seen + 1)

    def write(self, samples: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, samples)

    def close(self) -> None:
        self._writer.close()
