"""Denoisers: `denoiser(x_t, t, cond)` is the posterior over clean data, as a mean, as samples or as logits."""

from pellucid.core.registry import Registry

denoisers = Registry("denoiser", __name__, {
    "regression": "regression.Regression",
    "variational": "latent.Variational",
    "adversarial": "latent.Adversarial",
    "consistency": "consistency.Consistency",
    "wiener": "wiener.Wiener",
    "mixture": "mixture.Mixture",
    "dataset": "dataset.Dataset",
    "categorical": "categorical.Categorical",
    "sequences": "sequences.Sequences",
})

__getattr__, __dir__, __all__ = denoisers.module_interface()
