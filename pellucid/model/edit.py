"""Pictures from pictures: made anew in part or by degrees, enlarged, freed of noise."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import hypot, isfinite, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from pellucid.codecs.identity import Identity
from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.guidance.mask import Mask
from pellucid.guidance.observation import Observation
from pellucid.guidance.pooling import Pooling
from pellucid.modalities.canvas import Canvas
from pellucid.modalities.image import Image
from pellucid.modalities.read_picture import read_picture
from pellucid.modalities.window import Window
from pellucid.model.model import Model
from pellucid.model.samples import Samples
from pellucid.model.start import Start

ROUNDING = 2 / 255 / sqrt(12)
"""Standard deviation, in the model's range, of what is lost when a picture is stored in bytes."""
LARGEST = Pillow.MAX_IMAGE_PIXELS or 1 << 27
"""Pixels of a picture to which space is added."""

Bytes = NDArray[np.uint8]
Tell = Callable[[str], None]


def edit(
    model: Model,
    picture: Path | str | Bytes,
    *,
    mask: Path | str | NDArray[Any] | None = None,
    pad: tuple[int, int, int, int] | None = None,
    strength: float | None = None,
    upscale: int | None = None,
    denoise: float | None = None,
    n: int = 1,
    tell: Tell = lambda _: None,
    **settings: Any,
) -> Samples:
    """`n` versions of a picture, which is asked for by one of: mask or pad, strength, upscale, denoise.

    A mask, or space added around the picture, is filled in to suit the rest, and what is not masked stays as it is to the
    last bit, at the picture's own size. Upscaling and denoising draw pictures that, made smaller or noisy again, are the
    given one. All of this is posterior guidance (`guidance.MomentMatching`). Strength noises the picture part of the way
    and takes the noise away again (`model.Start`), alone at the model's size, and with a mask within it.

    Arguments:
        picture: a file, or bytes (C, H, W).
        mask: a grey picture of the same size, or bytes (H, W): what is white is made new, black is kept, grey blends.
        pad: pixels to add at the left, top, right and bottom.
        strength: of the change, 0 to 1; the share of the steps that are taken.
        upscale: the factor, a whole number.
        denoise: standard deviation of the noise in the picture, in levels of 255.
        n: how many.
        tell: called with sentences for the user about how the picture was fitted to the model.
        settings: as for `Model.sample`: prompt, label, steps, seed and so on.

    Raises:
        UserError: a picture that cannot be read, or what cannot be asked for.
    """
    if not isinstance(model.modality, Image):
        raise UnsupportedError("Editing is for models of pictures")
    _check(mask is not None, pad, strength, upscale, denoise)
    pixels = _read(picture, model.facts.shape[0], tell)
    if mask is not None or pad is not None:
        task = _filling(model, pixels, _share(mask, pixels, pad), pad or (0, 0, 0, 0), strength, tell)
    elif strength is not None:
        task = _change(model, pixels, strength, tell)
    else:
        task = _restoration(model, pixels, upscale or 1, denoise or 0.0)
    made = model.sample(n, start=task.start, given=task.given, **settings)
    return replace(made, data=task.finish(made.data))


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What is to be sampled, and what becomes of the samples."""

    start: Start | None = None
    given: Observation | None = None
    finish: Callable[[Tensor], Tensor] = lambda made: made


def _check(
    mask: bool, pad: tuple[int, ...] | None, strength: float | None, upscale: int | None, denoise: float | None
) -> None:
    """Refuse values that could not hold and things that do not go together."""
    fill, restore = mask or pad is not None, upscale is not None or denoise is not None
    if fill + restore + (strength is not None and not fill) != 1:
        raise ConfigError("Expected one way to edit: mask or pad, strength, or upscale or denoise; a mask also goes with "
                          "strength, and upscale with denoise")  # fmt: skip
    if pad is not None and (len(pad) != 4 or min(pad) < 0 or max(pad) == 0):
        raise ConfigError(f"pad = {','.join(map(str, pad))}: expected pixels at the left, top, right and bottom: 0,0,16,0")
    if pad is not None and strength is not None:
        raise ConfigError("strength with pad: there is nothing to start from where space is added")
    if strength is not None and not 0 < strength <= 1:
        raise ConfigError(f"strength = {strength:g} is out of range: allowed is above 0, as it is, to 1, all new")
    if upscale is not None and upscale < 2:
        raise ConfigError(f"upscale = {upscale} is out of range: expected a whole number from 2")
    if denoise is not None and not (isfinite(denoise) and denoise > 0):
        raise ConfigError(f"denoise = {denoise:g}: expected the noise's standard deviation in levels of 255, such as 25")


def _read(picture: Path | str | Bytes, channels: int, tell: Tell) -> Bytes:
    """(C, H, W)."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or len(picture) != channels:
            raise DataError(f"The picture is {picture.dtype} of shape {picture.shape}, expected bytes ({channels}, H, W)")
        return picture
    pixels, notes = read_picture(Path(picture), channels)
    for note in notes:
        tell(note)
    return pixels


def _share(mask: Path | str | NDArray[Any] | None, pixels: Bytes, pad: tuple[int, ...] | None) -> NDArray[np.float32]:
    """How much of each pixel (H, W) is made new, in [0, 1], before space is added."""
    size = pixels.shape[1:]
    if mask is None:
        return np.zeros(size, dtype=np.float32)
    name = "The mask" if isinstance(mask, np.ndarray) else f"The mask '{mask}'"
    if isinstance(mask, np.ndarray):
        grey = mask
    else:
        (grey,), notes = read_picture(Path(mask), 1)
        if any("transparency" in note for note in notes):
            raise DataError(f"{name} has transparent pixels: expected white for what is made new on black, none transparent")
    if grey.shape != size or grey.dtype != np.uint8:
        came = " x ".join(map(str, grey.shape[::-1]))
        raise DataError(f"{name} is {came}, the picture {size[1]} x {size[0]}: expected a mask in bytes of the same size")
    if not grey.any() and pad is None:
        raise DataError(f"{name} is black everywhere: expected white where the picture is to be made new")
    return (grey / np.float32(255)).astype(np.float32)


def _filling(
    model: Model, pixels: Bytes, share: NDArray[np.float32], pad: tuple[int, ...], strength: float | None, tell: Tell
) -> _Task:
    """Masked parts and added space, given the rest."""
    left, top, right, bottom = pad
    if (pixels.shape[1] + top + bottom) * (pixels.shape[2] + left + right) > LARGEST:
        raise ConfigError(f"pad = {','.join(map(str, pad))} makes more than {LARGEST:,} pixels: add less")
    around = (top, bottom), (left, right)
    pixels, share = np.pad(pixels, ((0, 0), *around)), np.pad(share, around, constant_values=1)
    rows, columns = (np.flatnonzero((share > 0).any(axis)) for axis in (1, 0))
    (height, width), (_, *space) = share.shape, model.facts.shape
    box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    window = Window.around(box, (width, height), (space[1], space[0]))
    if window.scale != 1:
        part = " x ".join(f"{window.scale * side:.0f}" for side in space[::-1])
        tell(f"of {width} x {height}, {part} around the mask are seen at the model's {space[1]} x {space[0]}")
    seen, known = window.cut(pixels, share < 0.5)
    whole = window.cut(pixels, np.ones_like(share, dtype=bool))[0]
    x0 = model.modality.decode(torch.from_numpy(np.where(known, seen, whole)))[None]
    with torch.no_grad():
        z = model.codec.encode(x0.to(model.device, model.dtype))
    clear = adaptive_avg_pool2d(torch.from_numpy(known)[None, None].float(), (z.shape[2], z.shape[3]))
    sees = Mask(known=clear == 1)

    def finish(made: Tensor) -> Tensor:
        pieces = model.modality.encode(made).astype(np.float32)
        return model.modality.decode(np.stack([window.paste(pixels, piece, share) for piece in pieces]))

    start = None if strength is None else Start(x0=x0, strength=strength)
    return _Task(start=start, given=Observation(operator=sees, y=sees(z), noise=ROUNDING), finish=finish)


def _change(model: Model, pixels: Bytes, strength: float, tell: Tell) -> _Task:
    """The picture, noised part of the way."""
    channels, height, width = model.facts.shape
    if pixels.shape[1:] != (height, width):
        tell(f"{pixels.shape[2]} x {pixels.shape[1]}, scaled and cropped about the centre to the model's {width} x {height}")
    fitted = Canvas(height=height, width=width, channels=channels).of_array(pixels)
    return _Task(start=Start(x0=model.modality.decode(fitted)[None], strength=strength))


def _restoration(model: Model, pixels: Bytes, factor: int, sigma: float) -> _Task:
    """Pictures that are the given one when they are made smaller, and noisy."""
    if not isinstance(model.codec, Identity):
        raise UnsupportedError("upscale and denoise need a model that works on pixels, and this one works on the latents of "
                               f"{type(model.codec).__name__}: mask and strength do with it")  # fmt: skip
    _, height, width = model.facts.shape
    (channels, down, across), (rows, columns) = pixels.shape, (height // factor, width // factor)
    if down > rows or across > columns:
        raise DataError(
            f"The picture is {across} x {down}, and the model makes {width} x {height}: expected one of at most "
            f"{columns} x {rows}" + (f" to enlarge it {factor} times" if factor > 1 else "")
        )
    top, left = (rows - down) // 2, (columns - across) // 2
    place = np.s_[:, :, top : top + down, left : left + across]
    y, known = torch.zeros(1, channels, rows, columns), torch.zeros(1, 1, rows, columns)
    y[place], known[place] = model.modality.decode(pixels), 1
    pooling, sees = Pooling(factor=factor), Mask(known=known)
    given = Observation(operator=lambda x: sees(pooling(x)), y=y, noise=hypot(ROUNDING, 2 * sigma / 255))
    end = np.s_[:, :, factor * top : factor * (top + down), factor * left : factor * (left + across)]
    return _Task(given=given, finish=lambda made: made[end])
