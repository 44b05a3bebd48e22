"""What an optimiser remembers, as tensors by name, for checkpoints."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer


def named_slots(optimiser: Optimizer) -> dict[str, Tensor]:
    """Every slot of every parameter, as "index.slot"."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{slot}": torch.as_tensor(value) for index, slots in state.items() for slot, value in slots.items()}


def restore_slots(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take what `named_slots` gave; learning rates and other settings stay as they are."""
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
