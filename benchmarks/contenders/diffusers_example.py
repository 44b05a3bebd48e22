"""diffusers' example `examples/unconditional_image_generation/train_unconditional.py`, as of version 0.42.

    train_unconditional.py --resolution=32 --use_ema

That is the script's own defaults, which are also the values that its README passes, with a resolution that suits the data.
--use_ema is in the README's command too; --random_flip, which is there and is no default, would mirror every shoe and is
left out. Pictures become RGB, as the script makes them, and what is generated is averaged over the channels.

    network    UNet2DModel: 128, 128, 256, 256, 512, 512 channels, attention at the fifth level
    loss       mean squared error of eps, times uniform over DDPM's 1,000 linear steps
    optimiser  AdamW, betas 0.95 and 0.999, weight decay 1e-6, gradients clipped to 1
    rate       1e-4: 500 steps of warm-up, then a cosine over 100 epochs
    batch      16, no accumulation, float32
    average    of the weights, warmed up with power 3/4, at most 0.9999
"""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from contenders.peer import Peer
from contenders.stepwise import Stepwise

BATCH, EPOCHS, CLIP = 16, 100, 1.0
LEARNING_RATE, WARMUP = 1e-4, 500
ADAM: dict[str, Any] = {"betas": (0.95, 0.999), "weight_decay": 1e-6, "eps": 1e-8}
AVERAGE: dict[str, Any] = {"decay": 0.9999, "use_ema_warmup": True, "inv_gamma": 1.0, "power": 0.75}
SCHEDULE: dict[str, Any] = {"num_train_timesteps": 1000, "beta_schedule": "linear", "prediction_type": "epsilon"}
CHANNELS = 3
SAMPLING_STEPS = 25


def example_unet(channels: int, side: int) -> nn.Module:
    """The network that the script builds when it is told of no other, with PyTorch's starting weights."""
    from diffusers import UNet2DModel

    plain_down, plain_up = "DownBlock2D", "UpBlock2D"
    build: Any = UNet2DModel
    network: nn.Module = build(
        sample_size=side, in_channels=channels, out_channels=channels, layers_per_block=2,
        block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=(plain_down, plain_down, plain_down, plain_down, "AttnDownBlock2D", plain_down),
        up_block_types=(plain_up, "AttnUpBlock2D", plain_up, plain_up, plain_up, plain_up),
    )  # fmt: skip
    return network


class DiffusersExample(Peer):
    """The script's loop, with diffusers' own noise schedule, learning-rate curve, average and DDIM."""

    batch = BATCH

    def __init__(self, network: Stepwise, pictures: NDArray[np.uint8], samples: int, folder: Path) -> None:
        from diffusers import DDIMScheduler, DDPMScheduler
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel

        super().__init__(network, pictures, samples, folder)
        noising: Any = DDPMScheduler
        sampling: Any = DDIMScheduler
        self.noising = noising(**SCHEDULE)
        self.sampler = sampling.from_config(self.noising.config)
        network.tell(self.noising.alphas_cumprod)
        self.parameters = list(network.parameters())
        self.optimiser = torch.optim.AdamW(self.parameters, lr=LEARNING_RATE, **ADAM)
        steps = EPOCHS * ceil(len(pictures) / BATCH)
        curve: Any = get_scheduler
        self.curve = curve("cosine", optimizer=self.optimiser, num_warmup_steps=WARMUP, num_training_steps=steps)
        average: Any = EMAModel
        self.average = average(self.parameters, **AVERAGE)

    def step(self) -> None:
        x0 = self.shown(0, BATCH).repeat(1, CHANNELS, 1, 1) * 2 - 1
        eps = torch.randn(x0.shape)
        steps = torch.randint(0, SCHEDULE["num_train_timesteps"], (BATCH,))
        loss: Any = mse_loss(self.network(self.noising.add_noise(x0, eps, steps), steps), eps)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.optimiser.step()
        self.curve.step()
        self.optimiser.zero_grad()
        self.average.step(self.parameters)
        loss.item()  # what the script logs

    def averaged(self) -> dict[str, Tensor]:
        names = [name for name, _ in self.network.named_parameters()]
        return dict(zip(names, self.average.shadow_params, strict=True))

    def restore_average(self, average: dict[str, Tensor], steps: int) -> None:
        self.average.shadow_params = [average[name] for name, _ in self.network.named_parameters()]
        self.average.optimization_step = steps
        self.curve.load_state_dict({**self.curve.state_dict(), "last_epoch": steps, "_step_count": steps + 1})
        self.optimiser.param_groups[0]["lr"] = LEARNING_RATE * self.curve.lr_lambdas[0](steps)

    @torch.no_grad()
    def draw(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((n, CHANNELS, self.side, self.side), generator=generator)
        self.sampler.set_timesteps(SAMPLING_STEPS)
        for step in self.sampler.timesteps:
            x = self.sampler.step(self.network(x, step.expand(n)), step, x, eta=0.0).prev_sample
        return x.clamp(-1, 1)
