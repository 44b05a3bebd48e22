"""Evaluation: networks whose features the metrics compare, and the report of a run. Network: one file, one line here."""

from pellucid.core.registry import Registry

features = Registry("feature network", __name__, {
    "fashion": "fashion.FashionFeatures",
    "classifier": "classifier.ClassifierFeatures",
    "fixed": "fixed.FixedFeatures",
    "temporal": "temporal.TemporalFeatures",
    "grams": "grams.GramFeatures",
    "inception": "inception.InceptionFeatures",
    "dinov2": "dinov2.Dinov2Features",
})

__getattr__, __dir__, __all__ = features.module_interface()
