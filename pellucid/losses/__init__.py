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
    "uniform": "time.Uniform",
    "logit_normal": "time.LogitNormal",
    "mode": "time.Mode",
    "log_normal": "time.LogNormal",
    "log_uniform": "time.LogUniform",
    "levels": "time.Levels",
    "adaptive": "adaptive.Adaptive",
})

losses = Registry("loss", __name__, {
    "denoising": "denoising.DenoisingLoss",
    "filtering": "filtering.FilteringLoss",
    "variational": "variational.VariationalLoss",
    "adversarial": "adversarial.AdversarialLoss",
    "consistency": "consistency.ConsistencyLoss",
    "judged_consistency": "judged_consistency.JudgedConsistencyLoss",
    "autoencoding": "autoencoding.AutoencodingLoss",
    "reading": "reading.ReadingLoss",
    "elbo": "elbo.ElboLoss",
})

__getattr__, __dir__, __all__ = losses.module_interface()
