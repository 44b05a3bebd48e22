"""What diffusers keeps in `scheduler_config.json`, in our words: a table, a grid on it, a sampler, what is predicted."""

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
SKIPPING = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
"""Those that lay a step more than was asked for and leave out the last; see `TableGrid`."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """How a published model was trained and is meant to be sampled.

    Attributes:
        clip: the range that x0 is held within at every step, None for any.
        sampling: `sampler` and `grid`, as a model's configuration has them.
    """

    table: Table
    prediction: Prediction
    clip: float | None
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
            sampling={"sampler": _sampler(name, config), "grid": _grid(name, config)},
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


def _grid(name: str, config: Any) -> Section:
    """Where the steps lie, and whether the last one goes down to clean data."""
    spacing = config.get("timestep_spacing", "leading")
    return {
        "name": "table",
        "spacing": spacing,
        "offset": config.get("steps_offset", 0) if spacing == "leading" else 0,
        "to_data": bool(config.get("set_alpha_to_one", config.get("final_sigmas_type", "zero") == "zero")),
        "skip_last": name in SKIPPING and spacing != "trailing",
    }
