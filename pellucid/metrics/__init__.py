"""Metrics: features or labels in, numbers out, each with its interval, its floor and its N. One file each, one line here."""

from pellucid.core.registry import Registry

metrics = Registry("metric", __name__, {
    "frechet": "frechet.Frechet",
    "kernel": "kernel.Kernel",
    "precision": "precision.Precision",
    "recall": "recall.Recall",
    "density": "density.Density",
    "coverage": "coverage.Coverage",
})

shares = Registry("share", __name__, {
    "agreement": "agreement.agreement",
    "closeness": "closeness.closeness",
})

writing_figures = Registry("figure of writing", __name__, {
    "entropy": "writing.entropy",
    "repeats": "writing.repeats",
    "copied": "copied.copied",
})

scores = Registry("score", __name__, {
    "discriminative": "discriminative.Discriminative",
    "predictive": "predictive.Predictive",
})

__getattr__, __dir__, __all__ = metrics.module_interface()
