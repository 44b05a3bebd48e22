"""What went wrong when a loss or gradient is NaN or infinite: which tensor was first, on which samples, what to try."""

import torch
from torch import Tensor, nn

from pellucid.core.errors import DivergenceError
from pellucid.losses.loss import Loss
from pellucid.training.batch import Batch


def diverged(
    loss: Loss, batch: Batch, seen: int, rates: tuple[float, float], gradient_norm: float, *, saved: bool
) -> DivergenceError:
    """The error to raise: runs the batch once more and watches every tensor.

    Arguments:
        rates: the learning rate of this step, and the one that was set.
        saved: whether there is a checkpoint.
    """
    values, culprit = _first_bad(loss, batch)
    rows = (~values.isfinite()).nonzero()[:, 0].tolist() if values.ndim else []
    shown = rows[:8] or list(range(min(4, len(batch.ids))))
    where = ", ".join(batch.name(i) for i in shown)
    more = f" and {len(rows) - len(shown)} more" if len(rows) > len(shown) else ""
    now, set_rate = rates
    back = " The last good checkpoint is intact; --resume would repeat it to the same end." if saved else ""
    return DivergenceError(
        f"Training met NaN or Inf after {seen} samples.\n"
        f"  first bad tensor  {culprit}\n"
        f"  gradient norm     {gradient_norm:.4g}\n"
        f"  {'bad losses       ' if rows else 'in the batch     '} {where}{more}\n"
        f"  learning rate     {now:.3g}{'' if now == set_rate else f' of {set_rate:.3g}'}\n"
        f"What to try, in a new run: {_advice(culprit, set_rate)}.{back}"
    )


def _first_bad(loss: Loss, batch: Batch) -> tuple[Tensor, str]:
    """Losses of the batch, and the name of the first tensor that is not finite in the order of computation."""
    for name, tensor in (("data (x0)", batch.x0), ("noise (eps)", batch.eps)):
        if not tensor.isfinite().all():
            return tensor.flatten(1).sum(1), name
    for name, parameter in loss.named_parameters():
        if not parameter.isfinite().all():
            return torch.zeros(()), f"weight {name}"
    found: list[str] = []

    def watch(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not found and not output.isfinite().all():
                found.append(f"output of {name}")

        return hook

    handles = [part.register_forward_hook(watch(name)) for name, part in loss.named_modules() if name]
    try:
        values = loss(*batch.arguments).weighted
    finally:
        for handle in handles:
            handle.remove()
    if found:
        return values.detach(), found[0]
    if not values.isfinite().all():
        return values.detach(), "the loss"
    return values.detach(), _bad_gradient(loss, values)


def _bad_gradient(loss: Loss, values: Tensor) -> str:
    """Which gradient is at fault where all losses are finite."""
    loss.zero_grad()
    values.mean().backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad for name, p in loss.named_parameters() if p.grad is not None}
    bad = [name for name, gradient in gradients.items() if not gradient.isfinite().all()]
    if bad:
        return f"gradient of {bad[-1]}"
    if not torch.stack([gradient.norm() for gradient in gradients.values()]).norm().isfinite():
        largest = max(gradients, key=lambda name: float(gradients[name].abs().max()))
        return f"norm of the gradients, each of which is finite; the largest is that of {largest}"
    return "none when the step is repeated: an unsteady machine?"


def _advice(culprit: str, learning_rate: float) -> str:
    if culprit.startswith("data"):
        return "look at these samples; the data set holds values that are not numbers"
    lower = f"a lower learning rate (--set optimiser.learning_rate={learning_rate / 3:.2g})"
    return f"{lower}, a longer warm-up (--set training.warmup=8192), or training.precision = 'float32'"
