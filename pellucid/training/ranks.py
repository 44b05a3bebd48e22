"""Several processes that train one model, as torchrun starts them: who is who, what each trains on, what they agree on.

Every rank has its share of every batch and all of the model, whose gradients torch's DistributedDataParallel sums (Li et al.
2020), or with `training.sharded` its rows of it (see `sharding`). What a sample is trained with depends on its position
alone, so N ranks do what one does, but for the order of sums. The first one does all that there is one of: it packs the
data, writes log, checkpoints and model, measures time, and speaks.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pellucid.core.errors import ConfigError, InterruptedRunError
from pellucid.core.group import Group
from pellucid.training.config import RunConfig
from pellucid.training.sharding import parted, shard

GONE = ("onnection", "closed", "NCCL", "remote process")
"""Words of errors that tell so."""


@dataclass(frozen=True)
class Ranks(Group):
    """The group that trains together."""

    def check(self, config: RunConfig, *, stages: bool, profile: bool) -> None:
        """Refuse what several ranks cannot do.

        Arguments:
            stages: whether anything is trained before the denoiser.
            profile: whether times are drawn by the losses that were met, which each rank would know in part.

        Raises:
            ConfigError: a batch that cannot be parted, or one of these.
        """
        if self.size == 1:
            return
        if config.training.batch % self.size:
            raise ConfigError(f"training.batch = {config.training.batch} cannot be parted among {self.size} ranks: give a "
                              "multiple of them")  # fmt: skip
        if stages:
            raise ConfigError(f"{self.size} ranks train a denoiser alone, not what goes before it (an autoencoder, a reader "
                              "of captions, a teacher's pairs): train that by one process")  # fmt: skip
        if profile:
            raise ConfigError(f"Times that follow the losses are of one process, not of {self.size} ranks: set "
                              "loss.times.name")  # fmt: skip

    def share(self, start: int, n: int) -> tuple[int, int]:
        """Where its part of a batch begins, and how many samples it has."""
        own = n // self.size
        return start + self.rank * own, own

    def shard(self, loss: nn.Module) -> None:
        """Part its parameters among the ranks, if there are several."""
        if self.size > 1:
            shard(loss)

    def parallel(self, loss: nn.Module) -> Any:
        """The same module, whose gradients become the mean over ranks; of one that is parted they do by themselves."""
        if self.size == 1 or any(parted(parameter) for parameter in loss.parameters()):
            return loss
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(loss, find_unused_parameters=True)

    def apart(self, parallel: Any, last: bool) -> AbstractContextManager[Any]:
        """Around a part of a batch, of which the last one alone exchanges gradients."""
        if self.size > 1 and hasattr(parallel, "set_requires_gradient_sync"):
            parallel.set_requires_gradient_sync(last)
            return nullcontext()
        return nullcontext() if last or self.size == 1 else parallel.no_sync()

    @contextmanager
    def exchanging(self) -> Iterator[None]:
        """Around what needs the others.

        Raises:
            InterruptedRunError: one of them is gone.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not any(word in str(error) for word in GONE):
                raise
            raise InterruptedRunError(
                f"Rank {self.rank} of {self.size} lost another one, which tells why. If there is a checkpoint, go on with "
                "--resume, on as many ranks as are left"
            ) from error

    def wait(self) -> None:
        """Until all are here."""
        self.sums(0.0)

    def sums(self, *values: float) -> list[float]:
        """Over all ranks."""
        if self.size == 1:
            return list(values)
        import torch.distributed as dist

        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        total = torch.tensor(values, dtype=torch.float64, device=device)
        with self.exchanging():
            dist.all_reduce(total)
        found: list[float] = total.tolist()
        return found

    def texts(self, own: str) -> list[str]:
        """Those of all ranks, of one length, in their order."""
        letters = [0.0] * self.rank * len(own) + [float(byte) for byte in own.encode()]
        found = self.sums(*letters, *[0.0] * ((self.size - self.rank - 1) * len(own)))
        every = bytes(int(value) for value in found).decode()
        return [every[at : at + len(own)] for at in range(0, len(every), len(own))]

    def firsts(self, *values: float) -> list[float]:
        """What they are on the first rank."""
        return self.sums(*(values if self.first else [0.0] * len(values)))


ALONE = Ranks()
