"""Guidance: wraps a denoiser and is a denoiser, so samplers never learn of it. A weight of 1 is off."""

from pellucid.core.registry import Registry

guidances = Registry("guidance", __name__, {
    "classifier_free": "classifier_free.ClassifierFree",
    "autoguidance": "autoguidance.Autoguidance",
    "classifier": "classifier.Classifier",
    "moment_matching": "moment_matching.MomentMatching",
})

__getattr__, __dir__, __all__ = guidances.module_interface()
