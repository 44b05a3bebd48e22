"""Weights, gradients, averages and the optimiser's memory parted among ranks, by rows.

torch's `fully_shard` (FSDP2; Zhao et al. 2023) gathers the rows of a block's weights before it is needed and drops them
after, so that a rank keeps 1 / ranks of them. A parted tensor is a `DTensor` of torch; others are the same on every rank.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError

Rows = tuple[int, int]
"""The first row, and the one after the last."""


def shard(loss: nn.Module) -> None:
    """Part all parameters of what is trained among the ranks, each block of a network for itself, all others together.

    Raises:
        ConfigError: a parameter without rows.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    flat = [name for name, parameter in loss.named_parameters() if not parameter.ndim]
    if flat:
        raise ConfigError(f"'{flat[0]}' is a single number, which cannot be parted among ranks: set training.sharded=false")
    parameter = next(loss.parameters())
    mesh = init_device_mesh(parameter.device.type, (torch.distributed.get_world_size(),))
    for part in loss.modules():
        for block in part.children() if isinstance(part, nn.ModuleList) else ():
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh)
    fully_shard(loss, mesh=mesh)


def parted(tensor: Tensor) -> bool:
    """Whether this rank has only some of its rows."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def own(tensor: Tensor) -> Tensor:
    """The rows that are here, in the same memory; all of a tensor that is not parted."""
    return cast(Any, tensor).to_local() if parted(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All rows, on every rank; all have to ask."""
    return cast(Any, tensor).full_tensor() if parted(tensor) else tensor


def like(rows: Tensor, tensor: Tensor) -> Tensor:
    """A tensor that is parted as another of its shape is, of which `rows` are here."""
    if not parted(tensor):
        return rows
    from torch.distributed.tensor import DTensor

    other = cast(Any, tensor)
    return DTensor.from_local(
        rows, other.device_mesh, other.placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )


def rows_here(tensor: Tensor) -> Rows:
    """Which rows these are."""
    count = tensor.shape[0] if tensor.ndim else 1
    if not parted(tensor):
        return 0, count
    mesh = cast(Any, tensor).device_mesh
    each = -(-count // mesh.size())  # as torch parts them: the last ranks may have fewer, or none
    first = min(count, each * mesh.get_local_rank())
    return first, min(count, first + each)


def of(update: Tensor, tensor: Tensor) -> Tensor:
    """Of a whole tensor, the rows that are here of one of its shape."""
    first, end = rows_here(tensor)
    return update[first:end] if parted(tensor) else update
