"""Medical images: slices and small volumes of DICOM and NIfTI, with their values and spacing, written without a patient."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.errors import ConfigError, DataError, UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.core.items import Record
from pellucid.modalities.animation import save_journey
from pellucid.modalities.counts import Counts
from pellucid.modalities.eight_bits import to_bytes
from pellucid.modalities.metadata import write_metadata
from pellucid.modalities.modality import Modality
from pellucid.modalities.open_picture import is_picture
from pellucid.modalities.open_scan import KINDS, is_scan
from pellucid.modalities.scans import Wish, read_scans
from pellucid.modalities.sheet import sheet
from pellucid.modalities.write_scan import write_dicom, write_nifti
from pellucid.sources.find import is_remote
from pellucid.sources.walk import walk

GLANCE = 1000  # files that are looked at before a folder is given up
SHOWN = 3  # slices of a volume in a picture of it
SHARE = 0.005  # of all values that may lie beyond either end of a window nobody asked for
FEW = 1_000_000  # values by which such a window is found
BEYOND = 40.0  # in the model's range: exp(39) windows away, where no scan has values
NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True, kw_only=True)
class Scan(Modality):
    """Slices (1, H, W) or volumes (1, D, H, W): the scanner's own numbers when packed, a window of values for the model.

    Read from DICOM files, with or without a suffix, and NIfTI, in a folder with sub-folders as labels, or in archives;
    captions as of pictures. `scans.Plan` has the rules. The window's values v with centre c and width w become
    u = 2 (v - c) / w, which is from -1 to 1; those beyond it sign(u) (1 + log |u|), so that no value is lost.

    Arguments:
        window: centre and width; "auto": the files' own, where most have one, else that of 99% of all values.
        volume: whether samples are volumes, and slices of one series in files of their own make one; "auto": if most files
            hold volumes.
        spacing: of the samples, (depth, height, width) in millimetres; learned from the data, as all that follows.
        numbers, slope, intercept: type of packed numbers n, which stand for the values slope n + intercept.
        inverted: whether low values are shown bright.
    """

    sampler: ClassVar[str] = "dpmpp"
    steps: ClassVar[int] = 30
    metrics: ClassVar[tuple[str, ...]] = ("frechet", "kernel")
    storage: ClassVar[str] = "int16"
    axes: ClassVar[str] = "channels x [depth x] height x width"
    suffixes: ClassVar[tuple[str, ...]] = (*NIFTI, ".dcm", ".png", ".jpg", ".webp", ".npy")

    window: Literal["auto"] | tuple[float, float] = "auto"
    volume: Literal["auto"] | bool = "auto"
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    numbers: Literal["auto", "int16", "int32", "float32"] = "auto"
    slope: float = 1.0
    intercept: float = 0.0
    inverted: bool = False

    def __post_init__(self) -> None:
        for name in ("window", "spacing"):  # JSON has lists
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        if self.window != "auto" and not (self.window[1] > 0 and isfinite(sum(self.window))):
            raise ConfigError(f"modality.window = {list(self.window)}: expected centre and width, such as [40, 400]")
        if not self.slope or not all(map(isfinite, (self.slope, self.intercept, *self.spacing))) or min(self.spacing) <= 0:
            raise ConfigError("modality.slope, intercept and spacing are learned from the data: leave them out")

    @classmethod
    def example(cls) -> Self:
        return cls(window=(40.0, 400.0), numbers="int16", intercept=-1024.0)

    @property
    def counts(self) -> Counts:
        """What packed numbers stand for."""
        return Counts(numbers=self.storage if self.numbers == "auto" else self.numbers, slope=self.slope,
                      intercept=self.intercept)  # fmt: skip

    def recognises(self, path: Path) -> bool:
        """By names, and of files without a suffix by a look into them."""
        if not path.is_dir():
            return path.is_file() and is_scan(path)
        found = [file for file in islice(walk(path), GLANCE) if isinstance(file, Path)]
        return sum(map(is_scan, found)) > sum(map(is_picture, found))

    def read(
        self,
        path: Path,
        *,
        size: int | tuple[int, ...] | None = None,
        channels: int | None = None,
        labels: bool = True,
        column: str | None = None,
    ) -> Iterator[Record]:
        """Slices or volumes one after the other; as those of a model, where this is its modality."""
        if not is_remote(path) and not path.exists():
            raise DataError(f"There is no '{path}': expected a scan ({KINDS}), or a folder of them")
        known = self.numbers != "auto"
        wish = Wish(
            size=size, volume=None if self.volume == "auto" else self.volume, counts=self.counts if known else None,
            inverted=self.inverted if known else None, window=None if self.window == "auto" else self.window,
        )  # fmt: skip
        yield from read_scans(path, wish, channels=channels, labels=labels, column=column)

    def learn(self, stored: NDArray[Any], details: Mapping[str, Any]) -> dict[str, Any]:
        names = ("numbers", "slope", "intercept", "spacing", "inverted", "volume")
        found = {name: details[name] for name in names if name in details}
        if self.window != "auto" or "window" in details:
            return {**found, "window": list(self.window) if self.window != "auto" else details["window"]}
        values = stored.reshape(-1)[:: max(1, stored.size // FEW)].astype(np.float64)
        low, high = np.quantile(values, [SHARE, 1 - SHARE])
        if low == high:
            low, high = float(stored.min()), float(stored.max())
        slope = found.get("slope", self.slope)
        centre, width = slope * (low + high) / 2 + found.get("intercept", self.intercept), abs(slope) * (high - low)
        return {**found, "window": [float(centre), float(width) or 1.0]}

    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        numbers = stored.double() if isinstance(stored, Tensor) else torch.from_numpy(stored.astype(np.float64))
        centre, half = self._window()
        u = (numbers * self.slope + (self.intercept - centre)) / half
        return torch.where(u.abs() <= 1, u, u.sign() * (1 + u.abs().clamp_min(1).log())).float()

    def encode(self, x: Tensor) -> NDArray[Any]:
        x = x.detach().cpu().double().clamp(-BEYOND, BEYOND)
        centre, half = self._window()
        u = torch.where(x.abs() <= 1, x, x.sign() * (x.abs() - 1).exp())
        numbers = (u * half + (centre - self.intercept)) / self.slope
        if not self.counts.whole:
            return np.asarray(numbers.numpy().astype(np.float32))
        return np.asarray(numbers.round().clamp(*self.counts.limits).numpy().astype(self.counts.numbers))

    def _window(self) -> tuple[float, float]:
        """Centre and half the width."""
        centre, width = (0.0, 2.0) if self.window == "auto" else self.window
        return centre, width / 2

    def view(self, x: Tensor) -> Tensor:
        """What the window shows, values beyond it at its edge; all slices of a volume as channels of one picture."""
        return (x.flatten(1, 2) if x.ndim == 5 else x).clamp(-1, 1)

    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        """As the window shows them: slices, and of volumes a few from the middle, side by side."""
        shown = to_bytes(self.decode(stored).clamp(-1, 1))
        shown = 255 - shown if self.inverted else shown
        if shown.ndim == 4:
            return list(shown)
        places = (np.arange(1, SHOWN + 1) * shown.shape[2] / (SHOWN + 1)).astype(int)
        return [np.concatenate(list(one[:, np.unique(places)].transpose(1, 0, 2, 3)), axis=2) for one in shown]

    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,
        captions: Sequence[str] | None = None,
    ) -> list[Path]:
        """A .nii or .nii.gz of all samples, as its times; a .dcm of one slice, of more NAME-000000.dcm and so on beside it,
        of volumes NAME-000000-0000.dcm; a .png or .jpg of what the window shows; `.npy` with the values (B, 1, ...), such as
        Hounsfield units. Any other name is a folder for 000000.nii.gz, ... and, with labels or captions, metadata.jsonl.
        """
        if not len(samples):
            raise UserError("There are no samples to write.")
        stored, name = self.encode(samples), path.name.lower()
        solid = stored[:, 0] if stored.ndim == 5 else stored  # (N, depth, height, width)
        if name.endswith(NIFTI):
            write_nifti(path, solid, self.counts, self.spacing, self._asked())
        elif name.endswith(".dcm"):
            return self._write_dicom(solid, path)
        elif name.endswith(".npy"):
            with atomic_write(path) as temporary:
                np.save(temporary, self.counts.values(stored))
        elif is_picture(path):
            told = captions if captions and len(set(captions)) > 1 else labels or captions
            with atomic_write(path) as temporary:
                sheet(self.pictures(stored), labels=told).save(temporary)
        elif path.suffix:
            raise UserError(f"Cannot write scans as '{path.name}': {nearest(path.suffix.lower(), self.suffixes)}")
        else:
            files = [path / f"{index:06d}.nii.gz" for index in range(len(stored))]
            for file, one in zip(files, solid, strict=True):
                write_nifti(file, one[None], self.counts, self.spacing, self._asked())
            return [*files, *write_metadata(path, files, labels, captions)]
        return [path]

    def _write_dicom(self, solid: NDArray[Any], path: Path) -> list[Path]:
        count, depth = solid.shape[:2]
        written = []
        for index, volume in enumerate(solid):
            stem = path.stem if count * depth == 1 else f"{path.stem}-{index:06d}"
            ends = [""] if depth == 1 else [f"-{place:04d}" for place in range(depth)]
            files = [path.with_name(f"{stem}{end}{path.suffix}") for end in ends]
            write_dicom(files, volume, self.counts, self.spacing, self._asked(), inverted=self.inverted)
            written += files
        return written

    def _asked(self) -> tuple[float, float] | None:
        return None if self.window == "auto" else self.window

    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        save_journey([self.pictures(self.encode(frame)) for frame in frames], path)
