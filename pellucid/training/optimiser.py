"""Optimisers, as functions from parameters to torch optimisers."""

from collections.abc import Callable, Iterable
from math import sqrt

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Parameters = Iterable[nn.Parameter]


def adamw(
    parameters: Parameters,
    *,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.99),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """AdamW. Loshchilov and Hutter 2019, algorithm 2."""
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay, foreach=True)


def adam(
    parameters: Parameters, *, learning_rate: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8
) -> Optimizer:
    """Adam. Kingma and Ba 2015, algorithm 1."""
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, eps=eps, foreach=True)


def rmsprop(
    parameters: Parameters, *, learning_rate: float = 3e-4, alpha: float = 0.99, eps: float = 1e-8, momentum: float = 0.0
) -> Optimizer:
    """RMSprop. Hinton 2012, lecture 6e."""
    return torch.optim.RMSprop(parameters, lr=learning_rate, alpha=alpha, eps=eps, momentum=momentum, foreach=True)


def muon(
    parameters: Parameters,
    *,
    learning_rate: float = 5e-3,
    momentum: float = 0.95,
    iterations: int = 5,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> Optimizer:
    """Muon for weights with two axes or more, AdamW for gains, biases and all else, at one learning rate."""
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim >= 2]
    rest = [p for p in parameters if p.ndim < 2]
    return Muon(matrices, rest, learning_rate, momentum, iterations, betas, weight_decay)


class Muon(Optimizer):
    """Momentum whose matrix is replaced by its nearest semi-orthogonal one. Jordan et al. 2024 (Muon).

    The update is 0.2 sqrt(max(rows, columns)) times that matrix, which gives it the size of AdamW's (Liu et al. 2025,
    "Muon is scalable", eq. 4). Kernels of convolutions are matrices of (out, in x space). The iteration runs in the
    parameters' dtype.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        rest: list[nn.Parameter],
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
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = self._orthogonal(parameter, group) if group["matrix"] else self._adam(parameter, group)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(group["lr"] * update)

    def _orthogonal(self, parameter: nn.Parameter, group: dict[str, float]) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        nesterov: Tensor = gradient.lerp(state["momentum"], group["momentum"]).flatten(1)
        scale = 0.2 * sqrt(max(nesterov.shape))
        update = scale * orthogonalise(nesterov, int(group["iterations"]))
        return update.reshape(parameter.shape)

    def _adam(self, parameter: nn.Parameter, group: dict[str, tuple[float, float]]) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state.update(step=torch.zeros(()), mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        (beta1, beta2), step = group["betas"], float(state["step"])
        state["mean"].lerp_(gradient, 1 - beta1)
        state["square"].lerp_(gradient**2, 1 - beta2)
        update: Tensor = state["mean"] / (1 - beta1**step) / ((state["square"] / (1 - beta2**step)).sqrt() + 1e-8)
        return update


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """U V^T of matrix = U S V^T, nearly (singular values in [0.68, 1.21]), by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = wide / (wide.norm() + 1e-12)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T
