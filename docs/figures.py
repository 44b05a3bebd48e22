"""Pictures of docs/journey.md, made by the model of emoji that comes with the package: `python docs/figures.py`."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import pellucid
from pellucid.core.random import Keyed
from pellucid.schedules import Cosine, Rectified

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
KNOWN, ASKED = "noto/1F98A.webp", ("a fox", "a red heart", "a smiling face with sunglasses")
"""A picture that is noised, and prompts."""
LEVELS = torch.linspace(0, 1, 8, dtype=torch.float64)
SCALE, GAP = 2, 4
"""How much larger pixels are drawn, and what is left between pictures."""

model = pellucid.load("emoji")
schedules = (Rectified(), Cosine())


def noising() -> None:
    """One picture at eight times under two schedules, scaled to the size of the data."""
    x0, eps = _known(), Keyed(0, [0]).normal("eps", 0, model.facts.shape).float()
    rows = []
    for schedule in schedules:
        alpha, sigma = (scale(LEVELS).float()[:, None, None, None] for scale in (schedule.alpha, schedule.sigma))
        rows.append((alpha * x0 + sigma * eps) / torch.hypot(alpha, sigma))
    _save("journey-noising.png", rows)


def guesses() -> None:
    """Above the noisy latents of one picture, below the model's guess at what is under the noise, told what it is."""
    with torch.no_grad():
        z0 = model.codec.encode(_known())
        z_t = model.denoiser.process.corrupt(z0, LEVELS, Keyed(0, [0]).normal("eps", 0, z0.shape[1:]))
        guess = model.denoiser(z_t, LEVELS, model.condition(len(LEVELS), caption=ASKED[0])).mean
        size = torch.hypot(*(scale(LEVELS) for scale in (schedules[0].alpha, schedules[0].sigma))).float()
        _save("journey-guesses.png", [model.codec.decode(z_t / size[:, None, None, None]), model.codec.decode(guess)])


def journeys() -> None:
    """Three prompts on their way from noise, at every third of 21 steps."""
    made = model.sample(len(ASKED), prompt=ASKED, steps=21, journey=True)
    _save("journey-steps.png", list(torch.stack(made.journey[::3], 1)))


def samplers() -> None:
    """Each row a sampler, each column so many steps, all from the same noise."""
    asked, steps = {"prompt": ASKED[2], "seed": 1}, (1, 2, 3, 4, 6, 10, 20, 50)
    _save("journey-samplers.png", [
        torch.cat([model.sample(1, sampler=name, steps=count, **asked).data for count in steps])
        for name in ("ddim", "dpmpp")
    ])


def guidance() -> None:
    """Each row a prompt, each column a weight of guidance."""
    weights = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0)
    _save("journey-guidance.png", [
        torch.cat([model.sample(1, prompt=prompt, guidance=weight).data for weight in weights]) for prompt in ASKED[1:]
    ])


def seeds() -> None:
    """Eight samples of one call, and the same prompt with noise strewn in at every step."""
    asked = {"prompt": "a cat", "label": "noto"}
    _save("journey-seeds.png", [model.sample(8, **asked).data, model.sample(8, **asked, sampler="ancestral", steps=50).data])


def _known() -> Tensor:
    """The picture as data, (1, 3, 64, 64)."""
    with ZipFile(ROOT / "data" / "emoji" / "emoji.zip").open(KNOWN) as file:
        pixels = np.asarray(Image.open(file).convert("RGB"))
    return model.modality.decode(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def _save(name: str, rows: Sequence[Tensor]) -> None:
    """Rows of pictures in the model's range, one below the other."""
    pictures = [[_large(model.modality.encode(picture)) for picture in row] for row in rows]
    side = pictures[0][0].shape[0]
    sheet = np.full((len(rows) * (side + GAP) - GAP, len(rows[0]) * (side + GAP) - GAP, 3), 255, dtype=np.uint8)
    for i, row in enumerate(pictures):
        for j, picture in enumerate(row):
            top, left = i * (side + GAP), j * (side + GAP)
            sheet[top : top + side, left : left + side] = picture
    Image.fromarray(sheet).quantize(256).save(PICTURES / name, optimize=True)


def _large(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture.transpose(1, 2, 0).repeat(SCALE, 0).repeat(SCALE, 1)


if __name__ == "__main__":
    for figure in (noising, guesses, journeys, samplers, guidance, seeds):
        figure()
