"""Pictures restored from a part of them: a photograph model against bicubic interpolation and copies.

    restore.py measure MODEL --data HELD_OUT --dir DIR [-n 100] [--draws 4] [--steps 50]
    restore.py record  --dir DIR --out records/restore.md

Pictures of which training saw nothing are given in part, in bytes: at a quarter of their size, without a square in the
middle, and with one pixel in four. `one` is a sample from the posterior (`guidance.MomentMatching`), as `pellucid edit`
draws it; `mean` the mean of some, which is what squared error asks for. `bicubic` is Pillow's enlargement, or SciPy's cubic
interpolation of scattered pixels (Clough and Tocher 1965); `copy` repeats the nearest pixel. Given pixels are put back. SSIM
is scikit-image's, which is had by `pip install scikit-image`.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from resume import machine
from scipy.interpolate import griddata
from skimage import metrics
from torch import Tensor

from pellucid.core.files import atomic_write
from pellucid.core.items import Item
from pellucid.core.random import Key
from pellucid.evaluation.reconstruction import psnr
from pellucid.guidance.mask import Mask
from pellucid.guidance.observation import Observation
from pellucid.guidance.pooling import Pooling
from pellucid.modalities.image import Image
from pellucid.modalities.sheet import sheet
from pellucid.model.edit import ROUNDING
from pellucid.model.model import Model

Bytes = NDArray[np.uint8]
FACTOR = 4
SHOWN = 8
similarity: Callable[..., float] = metrics.structural_similarity
METHODS = ("copy", "bicubic", "one", "mean")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is seen of pictures (B, C, H, W) in [-1, 1], and how to go back without a model."""

    title: str
    operator: Callable[[Tensor], Tensor]
    copy: Callable[[Bytes], Bytes]
    bicubic: Callable[[Bytes], Bytes]
    known: NDArray[np.bool_] | None = None

    def finish(self, made: Bytes, truth: Bytes) -> Bytes:
        """With the given pixels put back, where single ones were given."""
        return made if self.known is None else np.where(self.known, truth, made)


def tasks(height: int, width: int) -> dict[str, Task]:
    """By name."""
    square = np.ones((height, width), dtype=bool)
    square[height * 5 // 16 : height * 11 // 16, width * 5 // 16 : width * 11 // 16] = False
    few = Key(0, "known pixels").uniform([0], (height, width))[0].numpy() < 1 / 4
    return {
        "enlarge": Task(
            title=f"{FACTOR} times larger", operator=Pooling(factor=FACTOR),
            copy=lambda y: _resized(y, Pillow.Resampling.NEAREST), bicubic=lambda y: _resized(y, Pillow.Resampling.BICUBIC),
        ),
        "square": _filled("a square in the middle missing", square),
        "pixels": _filled("three pixels in four missing", few),
    }  # fmt: skip


def _filled(title: str, known: NDArray[np.bool_]) -> Task:
    return Task(
        title=title, operator=Mask(known=torch.from_numpy(known)), known=known,
        copy=lambda y: _interpolated(y, known, "nearest"), bicubic=lambda y: _interpolated(y, known, "cubic"),
    )  # fmt: skip


def _resized(y: Bytes, how: Pillow.Resampling) -> Bytes:
    """(C, H, W), larger by FACTOR."""
    picture = Pillow.fromarray(y.transpose(1, 2, 0))
    return np.asarray(picture.resize((FACTOR * y.shape[2], FACTOR * y.shape[1]), how)).transpose(2, 0, 1)


def _interpolated(y: Bytes, known: NDArray[np.bool_], method: str) -> Bytes:
    """Missing pixels from known ones; outside of all of them, from the nearest."""
    there, missing, given = np.argwhere(known), np.argwhere(~known), y[:, known].T.astype(float)
    values, nearest = (griddata(there, given, missing, method=one) for one in (method, "nearest"))
    values = np.where(np.isnan(values), nearest, values)
    whole = y.copy()
    whole[:, ~known] = np.rint(values.clip(0, 255)).T
    return whole


def main() -> None:
    asked = _arguments()
    {"measure": _measure, "record": _record}[asked.command](asked)


def _measure(asked: argparse.Namespace) -> None:
    model = Model.load(asked.model)
    pictures = np.stack([record.data for record in Image().read(asked.data) if isinstance(record, Item)])
    pictures = pictures[np.linspace(0, len(pictures) - 1, asked.n).astype(int)]
    found: dict[str, Any] = {"n": len(pictures), "draws": asked.draws, "steps": asked.steps, "card": model.card, "tasks": {}}
    asked.dir.mkdir(parents=True, exist_ok=True)
    for name, task in tasks(*pictures.shape[2:]).items():
        x = model.modality.decode(pictures)
        given = model.modality.encode(task.operator(x))
        restored = {"copy": np.stack([task.copy(y) for y in given]), "bicubic": np.stack([task.bicubic(y) for y in given])}
        restored |= _drawn(model, task, given, asked)
        restored = {method: task.finish(made, pictures) for method, made in restored.items()}
        found["tasks"][name] = {"title": task.title, **{m: _scores(task, restored[m], pictures, given) for m in METHODS}}
        print(json.dumps(found["tasks"][name]), flush=True)
        _picture(task, given, restored, pictures).save(asked.dir / f"{name}.webp", quality=90)
    with atomic_write(asked.dir / "restored.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _drawn(model: Model, task: Task, given: Bytes, asked: argparse.Namespace) -> dict[str, Bytes]:
    """A posterior sample for each picture, and the mean of some."""
    observed = Observation(operator=task.operator, y=model.modality.decode(given), noise=ROUNDING)
    draws = [
        model.sample(len(given), given=observed, steps=asked.steps, guidance=1.0, seed=seed, batch=asked.batch).data
        for seed in range(asked.draws)
    ]
    return {"one": model.modality.encode(draws[0]), "mean": model.modality.encode(torch.stack(draws).clamp(-1, 1).mean(0))}


def _scores(task: Task, restored: Bytes, truth: Bytes, given: Bytes) -> dict[str, float]:
    """Means over pictures; `off` is the root mean square of what differs from the given, in levels of 255."""
    a, b = (Image().decode(pictures) for pictures in (restored, truth))
    pairs = zip(restored, truth, strict=True)
    alike = [similarity(one, other, channel_axis=0, data_range=255) for one, other in pairs]
    off = Image().encode(task.operator(a)).astype(float) - given
    return {
        "psnr": float(psnr(a, b).mean()), "psnr_error": float(psnr(a, b).std() / len(a) ** 0.5),
        "ssim": float(np.mean(alike)), "off": float(np.sqrt((off**2).mean())),
    }  # fmt: skip


def _picture(task: Task, given: Bytes, restored: dict[str, Bytes], truth: Bytes) -> Pillow.Image:
    """A row for the given, each method and the truth."""
    small = np.stack([_resized(y, Pillow.Resampling.NEAREST) for y in given]) if task.known is None else given
    rows: list[Bytes] = [small, *(restored[method] for method in METHODS), truth]
    places = np.linspace(0, len(truth) - 1, SHOWN).astype(int)
    return sheet([row[place] for row in rows for place in places], columns=SHOWN)


def _record(asked: argparse.Namespace) -> None:
    found = json.loads((asked.dir / "restored.json").read_text(encoding="utf-8"))
    found["looked_at"] = asked.looked_at
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for name in found["tasks"]:
        (asked.out.parent / f"restore-{name}.webp").write_bytes((asked.dir / f"{name}.webp").read_bytes())
    asked.out.write_text("\n".join(_lines(found)), encoding="utf-8")


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield "# Pictures restored from a part of them"
    yield ""
    yield (
        f"{found['n']} patches of 64 x 64 of photographs of which the model saw none (`pellucid data fetch photographs`, "
        f"held-out/); posterior guidance, {found['steps']} steps. `one` is a sample, `mean` the mean of {found['draws']}. "
        "PSNR in dB with its standard error, SSIM; off: how far the result is from what was given, root mean square in "
        "levels of 255, after rounding. Where single pixels are given, all methods keep them."
    )
    for name, task in found["tasks"].items():
        yield from ("", f"## {task['title'].capitalize()}", "", "| | PSNR | SSIM | off |", "| --- | --- | --- | --- |")
        for method in METHODS:
            one = task[method]
            yield f"| {method} | {one['psnr']:.2f} ± {one['psnr_error']:.2f} | {one['ssim']:.3f} | {one['off']:.2f} |"
        yield from ("", f"![Rows: given, {', '.join(METHODS)}, truth](restore-{name}.webp)")
    card = found["card"]
    yield ""
    if found.get("looked_at"):
        yield from (found["looked_at"], "")
    yield f"- model: {card['samples_seen']:,} samples seen in {card['minutes']:g} minutes, seed {card['seed']}"
    yield "- commands: in the docstring of benchmarks/restore.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()
    yield ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how well pictures are restored.")
    commands = parser.add_subparsers(dest="command", required=True)
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--dir", type=Path, required=True, help="where results are kept")
    measuring = commands.add_parser("measure", parents=[places], help="restore and measure")
    measuring.add_argument("model", type=Path)
    measuring.add_argument("--data", type=Path, required=True, help="pictures that the model has not seen")
    measuring.add_argument("-n", type=int, default=100)
    measuring.add_argument("--draws", type=int, default=4)
    measuring.add_argument("--steps", type=int, default=50)
    measuring.add_argument("--batch", type=int, default=25)
    recording = commands.add_parser("record", parents=[places], help="write the record")
    recording.add_argument("--out", type=Path, default=Path("records/restore.md"))
    recording.add_argument("--looked-at", default="", help="what whoever looked at the pictures saw")
    return parser.parse_args()


if __name__ == "__main__":
    main()
