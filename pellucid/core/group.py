"""Processes that work together, as torchrun starts them: who is who, and what they tell each other."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import torch
from torch import Tensor

PATIENCE = timedelta(hours=24)
"""For whoever waits, as the first packs data and measures; one that is gone is noticed at once."""
TYPES, AXES = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool), 8
"""Of tensors that are told."""


def follows() -> bool:
    """Whether this process is not the first of several."""
    return _started() > 1 and int(os.environ["RANK"]) > 0


def _started() -> int:
    """How many processes torchrun has started; a WORLD_SIZE without a RANK is somebody else's."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@dataclass(frozen=True)
class Group:
    """This process among `size`; alone, it agrees with itself.

    Attributes:
        rank: from 0.
        size: of the group.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str) -> Self:
        """The group of torchrun's variables; where there are none, or one process, nothing is set up."""
        if _started() == 1:
            return cls()
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def device(self, device: str) -> str:
        """The GPU of its own on this machine."""
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" and self.size > 1 else device

    def turns(self, count: int) -> range:
        """Which of so many parts of some work are its own."""
        return range(self.rank, count, self.size)

    def exchanged(self, own: Mapping[int, Tensor], count: int) -> list[Tensor]:
        """All `count` parts of a work of which each process has made those of its turns, bit for bit."""
        if self.size == 1:
            return [own[part] for part in range(count)]
        import torch.distributed as dist

        device, found = "cuda" if dist.get_backend() == "nccl" else "cpu", list[Tensor]()
        for part in range(count):
            head = torch.zeros(AXES + 2, dtype=torch.int64)  # the type, how many axes there are, their lengths
            if part in own:
                made = own[part].contiguous()
                head[: made.ndim + 2] = torch.tensor([TYPES.index(made.dtype), made.ndim, *made.shape])
            head = head.to(device)
            dist.broadcast(head, part % self.size)
            kind, axes, *lengths = head.tolist()
            if part not in own:
                made = torch.empty(lengths[:axes], dtype=TYPES[kind], device=device)
            dist.broadcast(made, part % self.size)
            found.append(made)
        return found

    def leave(self) -> bool:
        """End the group; whether this is the first, who writes."""
        if self.size > 1:
            import torch.distributed as dist

            dist.destroy_process_group()
        return self.first
