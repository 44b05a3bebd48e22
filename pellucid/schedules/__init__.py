"""Schedules: curves t -> (alpha_t, sigma_t) from clean data at t = 0 to noise at t = 1. One file each, one line here."""

from pellucid.core.registry import Registry

schedules = Registry("schedule", __name__, {
    "rectified": "rectified.Rectified",
    "cosine": "cosine.Cosine",
    "linear": "linear.Linear",
    "scaled_linear": "linear.ScaledLinear",
    "sigmoid": "sigmoid.Sigmoid",
    "edm": "edm.EDM",
    "ve": "ve.VE",
    "additive": "additive.Additive",
    "table": "table.Table",
    "shifted": "shifted.Shifted",
    "learned": "learned.Learned",
})

__getattr__, __dir__, __all__ = schedules.module_interface()
