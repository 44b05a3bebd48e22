"""Where the numbers of a run go besides its log: TensorBoard always, Weights & Biases where it is asked for."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pellucid.core.errors import ConfigError, nearest
from pellucid.core.optional import optional
from pellucid.training.config import RunConfig

TRACKERS = ("wandb", "wandb-offline")
"""What `--track` may name."""


class Tracker(Protocol):
    """Told of each line of the log that has numbers of training."""

    def write(self, samples: int, values: Mapping[str, Any]) -> None:
        """Numbers by name, after so many samples."""

    def close(self) -> None:
        """Nothing more will come."""


Start = Callable[[Path, RunConfig], Tracker]
"""Makes the tracker of the run in a folder, with its settings."""


def tracking(name: str | None) -> Start | None:
    """How the tracker of that name is started, with its library at hand; None for none.

    Raises:
        ConfigError: an unknown name.
        UnsupportedError: the library is not installed.
    """
    if name is None:
        return None
    if name not in TRACKERS:
        raise ConfigError(f"Unknown tracker '{name}': {nearest(name, TRACKERS)}")
    optional("wandb", f"--track {name}", "wandb")
    from pellucid.training.wandb_run import WandbRun

    return lambda folder, config: WandbRun(folder, config, offline=name == "wandb-offline")
