"""Training: data in, a model file out, resumable to the bit. `loop.train` is the whole of it."""

from pellucid.core.registry import Registry

optimisers = Registry("optimiser", __name__, {
    "adamw": "optimiser.adamw",
    "adam": "optimiser.adam",
    "rmsprop": "optimiser.rmsprop",
    "muon": "optimiser.muon",
})

__getattr__, __dir__, __all__ = optimisers.module_interface()
