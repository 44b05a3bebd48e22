"""denoising-diffusion-pytorch as its README trains a folder of pictures, version 2.3.

    Unet(dim=64, dim_mults=(1, 2, 4, 8), flash_attn=True)
    GaussianDiffusion(..., timesteps=1000)
    Trainer(..., train_batch_size=32, train_lr=8e-5, gradient_accumulate_every=2, ema_decay=0.995)

The package's `Unet`, `GaussianDiffusion` (v prediction on the sigmoid schedule), its DDIM and the average of `ema_pytorch`
are used as they are; the loop is written after `Trainer`, which reads pictures through torchvision. Where that is not
installed, a stub takes its place while the package is imported: only the reading of pictures is missing, which is not timed.

Adapted to the data: one channel, 32 x 32. In the peer's favour: `augment_horizontal_flip`, on by default, is off, as it
would mirror every shoe. `amp=True` is float16, which accelerate refuses on a CPU; so it is float32.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contenders.peer import Peer
from contenders.stepwise import Stepwise

PART, ACCUMULATE, CLIP = 32, 2, 1.0
LEARNING_RATE, BETAS = 8e-5, (0.9, 0.99)
AVERAGE: dict[str, Any] = {"beta": 0.995, "update_every": 10}
STEPS, SAMPLING_STEPS = 1000, 25
UNET: dict[str, Any] = {"dim": 64, "dim_mults": (1, 2, 4, 8), "flash_attn": True}
CHANNELS = 1


def readme_unet(channels: int, **changed: Any) -> nn.Module:
    """The README's network, with PyTorch's starting weights; `changed` makes it smaller for tests."""
    network: nn.Module = _package().Unet(**{**UNET, **changed}, channels=channels)
    return network


class DDPMReadme(Peer):
    """The loop of `Trainer`."""

    batch = PART * ACCUMULATE

    def __init__(self, network: Stepwise, pictures: NDArray[np.uint8], samples: int, folder: Path) -> None:
        diffusion = _package().GaussianDiffusion
        from ema_pytorch import EMA

        super().__init__(network, pictures, samples, folder)
        self.diffusion = diffusion(network, image_size=self.side, timesteps=STEPS, sampling_timesteps=SAMPLING_STEPS)
        network.tell(self.diffusion.alphas_cumprod)
        self.optimiser = torch.optim.Adam(self.diffusion.parameters(), lr=LEARNING_RATE, betas=BETAS)
        average: Any = EMA
        self.average = average(self.diffusion, **AVERAGE)

    def step(self) -> None:
        for part in range(ACCUMULATE):
            loss = self.diffusion(self.shown(part, PART)) / ACCUMULATE
            loss.item()  # what the trainer shows
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.diffusion.parameters(), CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update()

    def averaged(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.average.ema_model.model.state_dict()
        return found

    def restore_average(self, average: dict[str, Tensor], steps: int) -> None:
        self.average.ema_model.model.load_state_dict(average)
        self.average.step.fill_(steps)
        self.average.initted.fill_(steps > 0)

    def draw(self, n: int, seed: int) -> Tensor:
        torch.manual_seed(seed)
        drawn: Tensor = self.diffusion.sample(batch_size=n)
        return (drawn * 2 - 1).clamp(-1, 1)


def _package() -> Any:
    with _torchvision():
        import denoising_diffusion_pytorch
    return denoising_diffusion_pytorch


@contextmanager
def _torchvision() -> Iterator[None]:
    """torchvision, or an empty stub of what the package names while it is imported."""
    if "torchvision" in sys.modules or find_spec("torchvision"):
        yield
        return
    stub: Any = ModuleType("torchvision")
    stub.__spec__ = ModuleSpec("torchvision", None)  # others look for it meanwhile
    stub.transforms, stub.utils = ModuleType("torchvision.transforms"), ModuleType("torchvision.utils")
    sys.modules["torchvision"] = stub
    try:
        yield
    finally:
        del sys.modules["torchvision"]
