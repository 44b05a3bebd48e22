"""Optimisers, as functions from what is trained to torch optimisers."""

from collections.abc import Callable, Sequence
from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.model.config import Section
from pellucid.training import optimisers
from pellucid.training.sharding import like, of, own, whole

Parameters = list[nn.Parameter]


def build_optimiser(section: Section, trained: nn.Module) -> Optimizer:
    """The optimiser that a section of the configuration describes, of all parameters in `trained` that ask for a gradient.

    Raises:
        ConfigError: a setting out of range.
    """
    try:
        optimiser: Optimizer = build(optimisers, section, trained=trained)
    except ValueError as error:  # torch checks some settings itself
        raise ConfigError(f"optimiser.{section['name']}: {error}") from None
    rate = optimiser.param_groups[0]["lr"]
    if not 0 < rate < inf:
        raise ConfigError(f"optimiser.learning_rate = {rate:g} is out of range: allowed is any number above 0")
    return optimiser


def adamw(
    trained: nn.Module,
    *,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.99),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """AdamW. Loshchilov and Hutter 2019, algorithm 2."""
    parameters = _parameters(trained)
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


def adam(
    trained: nn.Module, *, learning_rate: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8
) -> Optimizer:
    """Adam. Kingma and Ba 2015, algorithm 1."""
    return torch.optim.Adam(_parameters(trained), lr=learning_rate, betas=betas, eps=eps, fused=True)


def rmsprop(
    trained: nn.Module, *, learning_rate: float = 3e-4, alpha: float = 0.99, eps: float = 1e-8, momentum: float = 0.0
) -> Optimizer:
    """RMSprop. Hinton 2012, lecture 6e."""
    return torch.optim.RMSprop(_parameters(trained), lr=learning_rate, alpha=alpha, eps=eps, momentum=momentum, foreach=True)


def muon(
    trained: nn.Module,
    *,
    learning_rate: float = 5e-3,
    momentum: float = 0.95,
    iterations: int = 5,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> Optimizer:
    """Muon for weights with two axes or more, AdamW for gains, biases and lookup tables, at one learning rate.

    A table is no product's matrix: most of its rows rest in a step, and each is a vector of its own.
    """
    tables = [part for part in trained.modules() if isinstance(part, nn.Embedding | nn.EmbeddingBag)]
    apart = {id(parameter) for table in tables for parameter in table.parameters()}
    matrices = [p for p in _parameters(trained) if p.ndim >= 2 and id(p) not in apart]
    rest = [p for p in _parameters(trained) if p.ndim < 2 or id(p) in apart]
    return Muon(matrices, rest, learning_rate, momentum, iterations, betas, weight_decay)


class Muon(Optimizer):
    """Momentum whose matrix is replaced by its nearest semi-orthogonal one. Jordan et al. 2024 (Muon).

    The update is 0.2 sqrt(max(rows, columns)) times that matrix, which gives it the size of AdamW's (Liu et al. 2025,
    "Muon is scalable", eq. 4). Kernels of convolutions are matrices of (out, in x space). Matrices of one shape go through
    the iteration together, in the parameters' dtype. Where ranks have parted a matrix each of them does all of it.
    """

    def __init__(
        self,
        matrices: Parameters,
        rest: Parameters,
        learning_rate: float,
        momentum: float,
        iterations: int,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        groups = [{"params": matrices, "matrix": True}, {"params": rest, "matrix": False}]
        defaults = {
            "lr": learning_rate, "momentum": momentum, "iterations": iterations, "betas": betas, "weight_decay": weight_decay
        }
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moved:
                updates, weights = (self._orthogonal if group["matrix"] else self._adam)(moved, group), _own(moved)
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(weights, updates, alpha=-group["lr"])

    def _orthogonal(self, parameters: Parameters, group: dict[str, float]) -> list[Tensor]:
        gradients = _gradients(parameters)
        momenta = self._slot(parameters, "momentum")
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        here = torch._foreach_lerp(gradients, momenta, group["momentum"])
        nesterov = [whole(like(rows, parameter)) for rows, parameter in zip(here, parameters, strict=True)]
        alike: dict[torch.Size, list[int]] = {}
        for index, matrix in enumerate(nesterov):
            alike.setdefault(matrix.flatten(1).shape, []).append(index)
        updates: dict[int, Tensor] = {}
        for shape, indices in alike.items():
            matrices = torch.stack([nesterov[index].flatten(1) for index in indices])
            found = 0.2 * sqrt(max(shape)) * orthogonalise(matrices, int(group["iterations"]))
            updates |= {index: update.reshape(parameters[index].shape) for index, update in zip(indices, found, strict=True)}
        return [of(updates[index], parameter) for index, parameter in enumerate(parameters)]

    def _adam(self, parameters: Parameters, group: dict[str, Any]) -> list[Tensor]:
        gradients = _gradients(parameters)
        means, squares = self._slot(parameters, "mean"), self._slot(parameters, "square")
        (beta1, beta2), steps = group["betas"], self._count(parameters)
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - beta2)
        roots = torch._foreach_sqrt(torch._foreach_div(squares, [1 - beta2**step for step in steps]))
        torch._foreach_add_(roots, 1e-8)
        unbiased = torch._foreach_div(means, [1 - beta1**step for step in steps])
        return list(torch._foreach_div(unbiased, roots))

    def _slot(self, parameters: Parameters, name: str) -> list[Tensor]:
        """What is remembered under `name` for each parameter, zero at first."""
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return _own([self.state[parameter][name] for parameter in parameters])

    def _count(self, parameters: Parameters) -> list[float]:
        """Updates of each parameter so far, this one included."""
        for parameter in parameters:
            self.state[parameter]["step"] = self.state[parameter].get("step", torch.zeros(())) + 1
        return [float(self.state[parameter]["step"]) for parameter in parameters]


def _parameters(trained: nn.Module) -> Parameters:
    return [parameter for parameter in trained.parameters() if parameter.requires_grad]


def _gradients(parameters: Parameters) -> list[Tensor]:
    return _own([parameter.grad for parameter in parameters if parameter.grad is not None])


def _own(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The rows that are here, where ranks have parted them."""
    return [own(tensor.detach()) for tensor in tensors]


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """U V^T of each matrix = U S V^T, nearly (singular values in [0.68, 1.21]), by a quintic Newton-Schulz iteration.

        X_{k+1} = P_k X_k,    P_k = a + b G_k + c G_k²,    G_k = X_k X_k^T

    As all P_k and G_k are polynomials in G_0 they commute, so G_{k+1} = P_k² G_k, and the long side of X is touched twice
    only: for G_0 and for X = (P_4 ... P_0) X_0. Shapes: (..., rows, columns) to the same.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    gram = x @ x.mT
    size = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None].sqrt() + 1e-12  # Frobenius norm of x
    gram, product = gram / size**2, torch.eye(x.shape[-2], dtype=x.dtype, device=x.device) / size
    for left in reversed(range(iterations)):
        polynomial = (gram @ gram).mul_(c).add_(gram, alpha=b)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        product = polynomial @ product
        if left:
            gram = polynomial @ gram @ polynomial
    found: Tensor = product @ x
    return found.mT if tall else found
