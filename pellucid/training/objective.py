"""What a denoiser is trained by: the loss that fits it, and the times at which it is trained."""

from torch import Tensor

from pellucid.codecs.identity import Identity
from pellucid.core.config import build
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key
from pellucid.denoisers.categorical import Categorical
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.denoiser import Denoiser
from pellucid.denoisers.latent import Adversarial, Latent, Variational
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.regression import Regression
from pellucid.denoisers.wiener import Wiener
from pellucid.interop.pretrained import Pretrained
from pellucid.losses import times, weightings
from pellucid.losses.adaptive import Adaptive
from pellucid.losses.adversarial import AdversarialLoss
from pellucid.losses.consistency import ConsistencyLoss
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.elbo import ElboLoss
from pellucid.losses.filtering import FilteringLoss
from pellucid.losses.judged_consistency import JudgedConsistencyLoss
from pellucid.losses.loss import Loss
from pellucid.losses.time import Levels, Times, Uniform
from pellucid.losses.variational import VariationalLoss
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.training.config import RunConfig


def build_loss(config: RunConfig, model: Model, drawn: Times, start: Model | None = None) -> Loss:
    """The loss of the model's denoiser, with whatever it trains along at its start.

    Arguments:
        drawn: the times at which it is trained.
        start: the model that training goes out from, whose paths a consistency denoiser learns to shorten.

    Raises:
        UnsupportedError: a denoiser that is known exactly, and not trained, or one that cannot do with missing values.
    """
    loss: Loss
    denoiser = model.denoiser
    if model.facts.missing and not isinstance(denoiser, Regression | Wiener):
        raise UnsupportedError(f"Some values are missing, and {type(denoiser).__name__} cannot be trained without them: set "
                               "denoiser.name to regression or wiener")  # fmt: skip
    if model.codec.learned and (model.facts.missing or model.facts.given):
        raise UnsupportedError("An autoencoder knows whole samples only: leave --latent out, or set loss.given=0 where no "
                               "values are missing")  # fmt: skip
    if model.facts.forced:
        _refuse_forcing(config, model)
    match denoiser:
        case Variational():
            loss = VariationalLoss(denoiser=denoiser, kl=config.loss.kl)
        case Adversarial():
            loss = AdversarialLoss(denoiser=denoiser, gamma=config.loss.gamma)
        case Consistency():
            loss = _consistency(config, model, denoiser, start)
        case Categorical():
            loss = ElboLoss(denoiser=denoiser)
        case Wiener():
            loss = FilteringLoss(denoiser=denoiser, missing=model.facts.missing)
        case Regression() | Pretrained():
            adaptive = drawn if isinstance(drawn, Adaptive) else None
            loss = DenoisingLoss(
                denoiser=denoiser, weighting=build(weightings, config.loss.weighting), times=adaptive,
                fourier=config.loss.fourier, missing=model.facts.missing,
                importance=_importance(model),
            )
        case _:
            known = "regression, wiener, variational, adversarial or consistency"
            raise UnsupportedError(f"{type(denoiser).__name__} cannot be trained: set denoiser.name to {known}")
    for name, part in loss.named_children():
        if part is not denoiser and any(parameter.requires_grad for parameter in part.parameters()):
            initialise(part, Key(config.seed, f"init {name}"))
    return loss


def _importance(model: Model) -> Tensor | None:
    """Of the values of a sample, where it is diffused as it is."""
    return model.modality.importance if isinstance(model.codec, Identity) else None


def _refuse_forcing(config: RunConfig, model: Model) -> None:
    """Where frames have times of their own and something cannot do with it."""
    reasons = {
        f"samples have {len(model.facts.shape) - 1} axis, not several along the first of which frames lie":
            len(model.facts.shape) < 3 and not model.modality.spans,
        f"denoiser.name = {config.denoiser.get('name')}: expected regression": not isinstance(model.denoiser, Regression),
        f"codec.name = {config.codec.get('name')}: expected identity": config.codec.get("name") != "identity",
        "loss.fourier compares whole samples: set it to 0": config.loss.fourier > 0,
        "loss.given shows parts in another way: set it to 0": model.facts.given,
    }  # fmt: skip
    for reason, holds in reasons.items():
        if holds:
            raise UnsupportedError(f"loss.forcing = {config.loss.forcing or 'auto'} gives frames times of their own, and "
                                   f"{reason}")  # fmt: skip


def _consistency(config: RunConfig, model: Model, denoiser: Consistency, start: Model | None) -> Loss:
    """Towards where the paths of the model at the start end; pairs are drawn when all else is in place."""
    if start is None or not isinstance(start.denoiser, Parametric):
        raise ConfigError("A consistency denoiser is made from a model that regresses: `pellucid speedup MODEL --method "
                          "consistency`")  # fmt: skip
    own = config.loss
    if not own.critic:
        return ConsistencyLoss(denoiser=denoiser, teacher=start.denoiser, responses=own.responses)
    shape = model.codec.latent_shape(model.facts.shape)
    return JudgedConsistencyLoss(
        denoiser=denoiser, teacher=start.denoiser, shape=shape, responses=own.responses, weight=own.critic, gamma=own.gamma
    )


def build_times(config: RunConfig, denoiser: Denoiser) -> Times:
    """As configured, but the levels of a denoiser that has some; uniform, as an ELBO is, of tokens.

    Raises:
        ConfigError: times that follow the losses, of a loss that tells none.
    """
    if config.loss.times.get("name") == "adaptive" and not isinstance(denoiser, Regression | Pretrained):
        raise ConfigError(f"loss.times.name = adaptive follows the losses of a regression: a {type(denoiser).__name__} has "
                          "none such, set it to mode")
    if isinstance(denoiser, Categorical):
        return Uniform()
    found: Times = Levels(levels=denoiser.levels) if isinstance(denoiser, Latent) else build(times, config.loss.times)
    return found
