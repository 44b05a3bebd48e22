"""Two posteriors made one: away from what is expected anyway, by as much as a weight says."""

from torch import Tensor

from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Denoiser
from pellucid.denoisers.posterior import Categories, Mean, Posterior

LED = frozenset({"mean", "logits"})
"""What guidance can be of: guided posteriors are not sampled."""


def centre(denoiser: Denoiser, posterior: Posterior) -> Tensor:
    """What guidance acts on: the logits of tokens, else the mean."""
    return posterior.logits if "logits" in denoiser.offers else posterior.mean


def lead(denoiser: Denoiser, wanted: Tensor, neutral: Tensor | None, weight: Tensor, x_t: Tensor) -> Posterior:
    """wanted + (w - 1) (wanted - neutral), of means or of log-probabilities (Schiff et al. 2025, eq. 10), which are made
    to sum to 1 again; `wanted` as it is where `neutral` is None.
    """
    tokens = "logits" in denoiser.offers
    if neutral is not None:
        beyond = expand(weight - 1, x_t).to(wanted)
        wanted = wanted + (beyond.unsqueeze(-1) if tokens else beyond) * (wanted - neutral)
    return Categories(wanted.log_softmax(-1) if neutral is not None else wanted) if tokens else Mean(wanted)
