"""What diffusers keeps in `scheduler_config.json`, in our words: a table, a grid on it, a sampler, what is predicted.

So our samplers make what diffusers makes of the folder. They differ where a class of diffusers differs from its paper:

- DDIM that clips x0 goes on with the eps from before it was clipped; ours follows the clipped one, as diffusers does under
  `use_clipped_model_output`. Trailing steps that do not divide the table step beside their own grid.
- Euler starts from noise alone, not noise and data, unless the spacing is leading; and stops between the table's steps where
  those of linspace are no whole numbers.
- DPM-Solver++ of second order takes a last step of first order where there are fewer than 15 and the last level is noisy;
  on an exponential grid it tells the network steps cut to whole numbers.
- PNDM repeats its second evaluation. DDPM with variances "fixed_large" adds more noise than the posterior has.
"""

from dataclasses import dataclass
from typing import Any, Self

from pellucid.core.errors import ModelError, nearest
from pellucid.denoisers.prediction import Prediction
from pellucid.model.config import Section
from pellucid.schedules.table import Table

PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
SAMPLERS: dict[str, Section] = {
    "DDIMScheduler": {"name": "ddim"},
    "DDPMScheduler": {"name": "ancestral"},
    "DPMSolverMultistepScheduler": {"name": "dpmpp"},
    "EulerAncestralDiscreteScheduler": {"name": "ddim", "eta": 1.0},
    "EulerDiscreteScheduler": {"name": "euler"},
    "HeunDiscreteScheduler": {"name": "heun"},
    "PNDMScheduler": {"name": "ipndm"},
    "UniPCMultistepScheduler": {"name": "unipc"},
}
"""The sampler that each class of theirs is. PNDM's multistep, with its repeated second evaluation left out, is iPNDM."""
MULTISTEP = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
"""Those that lay a step more than was asked for and leave out the last, see `TableGrid`; and that tell the network the
nearest step of the table where a Karras grid stops between two.
"""
OWN = ("thresholding", "use_beta_sigmas", "use_flow_sigmas", "use_lu_lambdas")
"""Settings that have nothing here that is like them."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """How a published model was trained and is meant to be sampled.

    Attributes:
        clip: the range that x0 is held within at every step, None for any.
        whole: whether the network is told whole steps of the table only.
        sampling: `sampler` and `grid`, as a model's configuration has them.
    """

    table: Table
    prediction: Prediction
    clip: float | None
    whole: bool
    sampling: Section

    @classmethod
    def of(cls, peer: Any) -> Self:
        """From one of diffusers' "schedulers", whose classes know their own defaults.

        Raises:
            ModelError: a class or a kind of prediction that is not known here.
        """
        name, config = type(peer).__name__, peer.config
        if name not in SAMPLERS:
            raise ModelError(f"'{name}' is not known: {nearest(name, SAMPLERS)}")
        kind = config.get("prediction_type", "epsilon")
        if kind not in PREDICTIONS:
            raise ModelError(f"prediction_type = '{kind}' is not known: {nearest(kind, PREDICTIONS)}")
        return cls(
            table=Table(alphas_cumprod=tuple(peer.alphas_cumprod.double().tolist())),  # to the last bit of its float32
            prediction=PREDICTIONS[kind],
            clip=config.get("clip_sample_range", 1.0) if config.get("clip_sample") else None,
            whole=name in MULTISTEP and bool(config.get("use_karras_sigmas")),
            sampling={"sampler": _sampler(name, config), "grid": _grid(peer)},
        )


def _sampler(name: str, config: Any) -> Section:
    section = dict(SAMPLERS[name])
    order = config.get("solver_order")
    match section["name"]:
        case "dpmpp" if config["algorithm_type"].startswith("sde"):
            section = {"name": "dpmpp_sde", "solver_order": min(order, 2)}
        case "dpmpp":
            section["order"] = order
        case "unipc":
            section |= {
                "predictor_order": order, "variant": config["solver_type"], "lower_order_final": config["lower_order_final"]
            }
    return section


def _grid(peer: Any) -> Section:
    """Where the steps lie, and whether the last one goes down to clean data."""
    config, levels = peer.config, peer.alphas_cumprod.double()
    for setting, name in (("use_karras_sigmas", "karras"), ("use_exponential_sigmas", "log_snr")):
        if config.get(setting):
            low, high = ((1 - levels[end]) / levels[end] for end in (0, -1))
            return {"name": name, "sigma_min": float(low.sqrt()), "sigma_max": float(high.sqrt())}
    spacing = config.get("timestep_spacing", "leading")
    return {
        "name": "table",
        "spacing": spacing,
        "offset": config.get("steps_offset", 0) if spacing == "leading" else 0,
        "to_data": bool(config.get("set_alpha_to_one", config.get("final_sigmas_type", "zero") == "zero")),
        "skip_last": type(peer).__name__ in MULTISTEP and spacing != "trailing",
    }
