"""Everything that training remembers, and its checkpoints."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor
from torch.optim import Optimizer

from pellucid.core.errors import ModelError
from pellucid.losses.loss import Loss
from pellucid.model.files import read_tensors, write_tensors
from pellucid.training.ema import PowerEMA, averages
from pellucid.training.plan import Plan
from pellucid.training.ranks import ALONE, Ranks
from pellucid.training.sharding import parted
from pellucid.training.shards import Layout, read_rows, shard_files, write_shard
from pellucid.training.slots import named_slots, restore_slots

FORMAT = "pellucid-checkpoint-2"


class DamagedError(ModelError):
    """A checkpoint is not what was written."""


@dataclass(eq=False)
class TrainingState:
    """Weights, optimiser, averages, the weak version, plan, samples and steps so far, losses since the log's last line.

    There is nothing else, so resuming is exact. `fixed` names weights of what is trained that stay as they were in the model
    which training goes out from: they are neither averaged nor stored. `word` is what `Standing` last said, to be shown.
    """

    loss: Loss
    optimiser: Optimizer
    averages: list[PowerEMA]
    plan: Plan
    weak: dict[str, Tensor] = field(default_factory=dict)
    seen: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    fixed: frozenset[str] = frozenset()
    word: str = ""

    def follow(self, widths: Iterable[float]) -> None:
        """Average the weights from now on."""
        self.averages = averages({n: value for n, value in self._trained().items() if n not in self.fixed}, widths)

    def _trained(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = self.loss.trained.state_dict()
        return tensors

    def _left_out(self) -> dict[str, Tensor]:
        """The weights that are not stored, by their names in the loss."""
        place = next((name for name, part in self.loss.named_children() if part is self.loss.trained), "")
        return {f"{place}.{name}": value for name, value in self._trained().items() if name in self.fixed}

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name."""
        left_out = self._left_out()
        named = {f"weights.{name}": value for name, value in self.loss.state_dict().items() if name not in left_out}
        named |= {f"optimiser.{name}": value for name, value in named_slots(self.optimiser).items()}
        for average in self.averages:
            named |= {f"ema.{average.width}.{name}": value for name, value in average.average.items()}
        return named | {f"weak.{name}": value for name, value in self.weak.items()}

    def averaged(self) -> dict[str, Tensor]:
        """The weights that make the model: the first average, or those of the last step if there is none."""
        return {**self._trained(), **(self.averages[0].average if self.averages else {})}

    @contextmanager
    def as_averaged(self) -> Iterator[None]:
        """The averages of the weights in the place of the weights, for a while."""
        own = {name: value.clone() for name, value in self._trained().items()}
        self.loss.trained.load_state_dict(self.averaged())
        try:
            yield
        finally:
            self.loss.trained.load_state_dict(own)

    def widest(self) -> dict[str, Tensor]:
        """The weights that make its weak version: the widest average, which is furthest behind."""
        widest = max(self.averages, key=lambda average: average.width, default=None)
        return {**self._trained(), **(widest.average if widest else {})}

    def save(self, folder: Path, keep: int, identity: str, ranks: Ranks = ALONE) -> Path:
        """Write a checkpoint named by the samples seen, then delete all but that and the newest others, `keep` in all.

        Of what is parted among ranks each writes its rows, and the first, once all have, the rest.
        """
        path, tensors = folder / f"{self.seen:012d}.safetensors", self.tensors()
        facts: dict[str, Any] = {
            "seen": self.seen, "step": self.step, "losses": self.losses, "plan": self.plan.state(), "identity": identity
        }  # fmt: skip
        if any(parted(value) for value in tensors.values()):
            facts["shards"] = ranks.texts(write_shard(path, tensors, ranks.rank, ranks.size))
        if ranks.first:
            plain = {name: value for name, value in tensors.items() if not parted(value)}
            write_tensors(path, plain, {"format": FORMAT, "state": json.dumps(facts)})
            for old in [other for other in checkpoints(folder) if other != path][: 1 - keep or None]:
                for file in (old, *shard_files(old)):
                    file.unlink()
        return path

    def restore_newest(self, folder: Path, identity: str) -> list[str]:
        """Take everything from the newest checkpoint in `folder` that is whole, if there are any; newer ones are set aside.

        Returns:
            What to say of each that was set aside, as NAME.damaged.

        Raises:
            ModelError: none is whole, or it belongs to another configuration or data set; nothing was touched.
        """
        damaged = dict[Path, DamagedError]()
        for path in reversed(checkpoints(folder)):
            try:
                self.restore(path, identity)
            except DamagedError as error:
                damaged[path] = error
                continue
            for bad in damaged:
                bad.rename(bad.with_name(f"{bad.name}.damaged"))
            return [f"{why}; set aside, going on from {path.name}" for why in damaged.values()]
        if damaged:
            why = next(iter(damaged.values()))
            raise ModelError(f"{why}. No checkpoint is whole: delete '{folder}' to start from the beginning")
        return []

    def restore(self, path: Path, identity: str) -> None:
        """Take everything from a checkpoint.

        Raises:
            DamagedError: the file is damaged, or another one under this name.
            ModelError: it belongs to another configuration or data set.
        """
        facts, tensors = self._read(path)
        if facts["identity"] != identity:
            raise ModelError(
                f"'{path}' belongs to another configuration or data set than this run's: resume with what it was started "
                "with, or start a new run in another folder"
            )
        self.loss.load_state_dict({**self._left_out(), **_under(tensors, "weights.")})
        restore_slots(self.optimiser, _under(tensors, "optimiser."))
        for average in self.averages:
            average.average = {
                name: value.to(average.average[name].device)
                for name, value in _under(tensors, f"ema.{average.width}.").items()
            }
        self.weak = _under(tensors, "weak.")
        self.plan.restore(facts["plan"])
        self.seen, self.step, self.losses = facts["seen"], facts["step"], facts["losses"]

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a checkpoint says, and the rows of its tensors that this rank needs."""
        try:
            metadata, tensors = read_tensors(path)
            if metadata.get("format") != FORMAT:
                raise ModelError(f"'{path}' is not a checkpoint of this version: expected {FORMAT}")
            facts = json.loads(metadata["state"])
            if int(path.stem) != facts["seen"]:
                raise ValueError(f"it is that of {facts['seen']:,} samples")
            return facts, read_rows(path, facts.get("shards", []), tensors, self._layout())
        except FileNotFoundError as error:
            raise DamagedError(f"The checkpoint '{path}' is damaged: '{error.filename}' has gone") from None
        except OSError as error:
            raise ModelError(f"The checkpoint '{path}' cannot be read: {error.strerror or error}") from None
        except (SafetensorError, ValueError, KeyError, RecursionError) as error:
            raise DamagedError(f"The checkpoint '{path}' is damaged: {error}") from None

    def _layout(self) -> Layout:
        """The weight that each tensor is of."""
        weights = {f"weights.{name}": value for name, value in self.loss.state_dict().items()}
        kinds = ("weak", *(f"ema.{average.width}" for average in self.averages))
        weights |= {f"{kind}.{name}": value for kind in kinds for name, value in self._trained().items()}
        slots: list[Tensor] = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        return lambda name: slots[int(name.split(".")[1])] if name.startswith("optimiser.") else weights.get(name)


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*.safetensors") if path.stem.isdigit())


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
