"""Processes: how clean data is corrupted, what is left at the end, and how to step back when the clean data is known."""

from pellucid.core.registry import Registry

processes = Registry("process", __name__, {
    "gaussian": "gaussian.Gaussian",
    "additive": "additive.AdditiveChain",
    "masked": "masked.Masked",
    "uniform_tokens": "uniform_tokens.UniformTokens",
})

noises = Registry("noise", __name__, {
    "gaussian": "normal_noise.NormalNoise",
    "uniform": "uniform_noise.UniformNoise",
})

__getattr__, __dir__, __all__ = processes.module_interface()
