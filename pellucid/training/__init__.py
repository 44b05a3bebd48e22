"""Training: data in, a model file out, resumable to the bit. `loop.train` is the whole of it."""

from pellucid.core.registry import Registry

optimisers = Registry("optimiser", __name__, {
    "adamw": "optimisers.adamw",
    "adam": "optimisers.adam",
    "rmsprop": "optimisers.rmsprop",
    "muon": "optimisers.muon",
})

__getattr__, __dir__, __all__ = optimisers.module_interface()
