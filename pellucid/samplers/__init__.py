"""Samplers: from noise to data along a grid of times, given a denoiser. Families over one shared loop."""

from pellucid.core.registry import Registry

samplers = Registry("sampler", __name__, {
    "euler": "runge_kutta.Euler",
    "heun": "runge_kutta.Heun",
    "midpoint": "runge_kutta.Midpoint",
    "rk4": "runge_kutta.RK4",
    "ddim": "ddim.DDIM",
    "ancestral": "ancestral.Ancestral",
    "posterior": "ancestral.PosteriorSampling",
    "dpmpp": "dpmpp.DPMSolver",
    "dpmpp_sde": "dpmpp.DPMSolverSDE",
    "unipc": "unipc.UniPC",
    "ipndm": "ipndm.IPNDM",
    "consistency": "consistency.Consistency",
    "picard": "picard.Picard",
    "learned": "learned.Learned",
    "tokens": "tokens.Tokens",
    "reveal": "tokens.Reveal",
})

grids = Registry("grid", __name__, {
    "uniform": "grid.Uniform",
    "quadratic": "grid.Quadratic",
    "karras": "grid.Karras",
    "log_snr": "grid.LogSNR",
    "table": "grid.TableGrid",
    "listed": "grid.Listed",
})

__getattr__, __dir__, __all__ = samplers.module_interface()
