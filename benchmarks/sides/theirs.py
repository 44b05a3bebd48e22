"""diffusers' side: its samplers by name, and a pipeline that runs any of them."""

from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from torch import Tensor

GRIDS: dict[str, dict[str, Any]] = {
    "linspace": {"timestep_spacing": "linspace"},
    "trailing": {"timestep_spacing": "trailing"},
    "karras": {"timestep_spacing": "linspace", "use_karras_sigmas": True},
    "log-SNR": {"timestep_spacing": "linspace", "use_exponential_sigmas": True},
}
MULTISTEP = {
    "DPM-Solver++": "DPMSolverMultistepScheduler", "UniPC": "UniPCMultistepScheduler", "DEIS": "DEISMultistepScheduler",
}  # fmt: skip
CLIPPED = {"thresholding": True}
"""With the classes' largest value of 1 that holds x0 within [-1, 1] at every step, as DDIM's `clip_sample` does."""


@dataclass(frozen=True)
class Peer:
    """A class of diffusers and its settings; `evaluations` of the network in each step but the last, which has one."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    evaluations: int = 1

    def steps(self, calls: int) -> int | None:
        """That cost so many network calls; None where no number does."""
        whole, rest = divmod(calls - 1, self.evaluations)
        return None if rest else whole + 1

    def scheduler(self, config: Any) -> Any:
        """Made from the configuration of the pipeline's own, as diffusers' documentation has it."""
        return getattr(diffusers, self.kind).from_config(config, **self.settings)


def peers() -> dict[str, Peer]:
    """All that are tried, by name."""
    multistep = {
        f"{name} {order}, {grid}{', clipped' if held else ''}": Peer(
            kind, {"solver_order": order, "lower_order_final": True, **settings, **held}
        )
        for name, kind in MULTISTEP.items() for order in (2, 3) for grid, settings in GRIDS.items() for held in ({}, CLIPPED)
    }  # fmt: skip
    ddim = {f"DDIM, {grid}": Peer("DDIMScheduler", {"timestep_spacing": grid}) for grid in ("leading", "trailing")}
    plain = {
        f"{name}, {grid}": Peer(kind, settings, evaluations)
        for name, kind, evaluations in (("Euler", "EulerDiscreteScheduler", 1), ("Heun", "HeunDiscreteScheduler", 2))
        for grid, settings in GRIDS.items()
    }
    return {**multistep, **ddim, **plain}


class AnyPipeline(diffusers.DDPMPipeline):
    """A DDPMPipeline whose loop also scales what the network sees, which some schedulers want, and is given its noise."""

    unet: Any
    scheduler: Any

    @torch.no_grad()
    def __call__(self, noise: Tensor, num_inference_steps: int) -> Any:
        self.scheduler.set_timesteps(num_inference_steps)
        image = noise * self.scheduler.init_noise_sigma
        for t in self.scheduler.timesteps:
            output = self.predict(self.scheduler.scale_model_input(image, t), t)
            image = self.scheduler.step(output, t, image).prev_sample
        return (image / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).numpy()

    def predict(self, image: Tensor, t: Tensor) -> Tensor:
        answer: Tensor = self.unet(image, t).sample
        return answer
