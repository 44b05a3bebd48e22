"""Losses: what training minimises, how it weighs noise levels and how it draws them."""

from pellucid.core.registry import Registry

weightings = Registry("weighting", __name__, {
    "none": "weighting.Plain",
    "edm": "weighting.EDM",
    "min_snr": "weighting.MinSNR",
    "sigmoid": "weighting.Sigmoid",
    "learned": "learned.LearnedVariance",
})

times = Registry("times", __name__, {
    "uniform": "times.Uniform",
    "logit_normal": "times.LogitNormal",
    "log_normal": "times.LogNormal",
})

losses = Registry("loss", __name__, {
    "denoising": "denoising.DenoisingLoss",
})

__getattr__, __dir__, __all__ = losses.module_interface()
