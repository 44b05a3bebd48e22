"""A packed data set: every sample decoded once, of one shape, in files that are memory-mapped and read by index.

    samples.npy     (N, C, *space) in the modality's storage type
    labels.npy      (N,) int64, an index into the manifest's sorted label names, -1 where there is none
    captions.txt    only if there are any: a line for each sample, its captions separated by tabs
    captions.npy    with it: (N + 1,) int64, the byte at which each line begins
    sources.jsonl   one line for each source file: path, size and SHA-256, or the reason why it was rejected
    manifest.json   count, shape, label names, hashes, notes and the settings it was made with; written last

A folder without a sound manifest is not a pack, so one that was interrupted is never taken for one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.core.files import sha256
from pellucid.core.items import Origin, Rejection
from pellucid.core.reason import reason
from pellucid.data.order import stream

VERSION = 1
SAMPLES, LABELS, SOURCES, MANIFEST = "samples.npy", "labels.npy", "sources.jsonl", "manifest.json"
CAPTIONS, PLACES = "captions.txt", "captions.npy"


class Pack:
    """A packed data set on disk. `pack[ids]` copies the wanted samples; the rest stays in the file.

    Arguments:
        folder: where it lies. Prefer `Pack.open`, which checks it.
        manifest: the content of its manifest.
    """

    KIND: ClassVar[str] = "pack"
    """What its manifest calls itself."""
    KEEPS: ClassVar[bool] = True
    """Whether it has the samples themselves."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.label_names: tuple[str, ...] = tuple(manifest["label_names"])
        self.samples = self._samples()
        self.labels: NDArray[np.int64] = np.load(folder / LABELS, mmap_mode="r", allow_pickle=False)
        self.captioned = int(manifest.get("captioned", 0))  # how many samples have captions
        self.missing = int(manifest.get("missing", 0))  # how many lack values, which are NaN
        if self.captioned:
            self._lines: NDArray[np.uint8] = np.memmap(folder / CAPTIONS, np.uint8, "r")
            self._places: NDArray[np.int64] = np.load(folder / PLACES, mmap_mode="r", allow_pickle=False)

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """The pack in `folder`, checked against its manifest by size and header (by content: `verify`).

        Raises:
            DataError: no pack, one of another version, or a damaged one.
        """
        folder = Path(folder)
        manifest = _manifest(folder, cls.KIND)
        try:
            pack = cls(folder, manifest)
            problem = pack._damage()
        except Exception as error:  # of a damaged manifest or array anything may be raised
            raise DataError(f"The pack '{folder}' is damaged: {reason(error)}. Pack the data again.") from error
        if problem:
            raise DataError(f"The pack '{folder}' is damaged: {problem}. Pack the data again.")
        return pack

    @classmethod
    def current(cls, folder: Path | str, settings: Mapping[str, Any], fingerprint: str) -> Self | None:
        """The pack in `folder` if it is sound and was made from the same files with the same settings, else None."""
        try:
            pack = cls.open(folder)
        except DataError:
            return None
        same = pack.manifest["settings"] == json.loads(json.dumps(settings))
        return pack if same and pack.manifest["fingerprint"] == fingerprint else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, ids: NDArray[np.integer]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Samples (B, C, *space) and labels (B,) of the given ids (B,), as copies in memory."""
        return self.samples[ids], self.labels[ids]

    def captions(self, sample: int) -> tuple[str, ...]:
        """What is said of one sample; nothing, one or several."""
        if not self.captioned:
            return ()
        start, end = self._places[sample : sample + 2]
        line = bytes(self._lines[start:end]).decode("utf-8", "replace")
        return tuple(caption for caption in line.strip("\n").split("\t") if caption)

    def stream(
        self, seed: int, start: int, n: int, among: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """The ids (n,) at places start .. start + n - 1 of training on all samples, or on those `among` them."""
        ids = stream(seed, len(self) if among is None else len(among), start, n)
        return ids if among is None else among[ids]

    def __reduce__(self) -> tuple[Callable[[Path], "Pack"], tuple[Path]]:
        return Pack.open, (self.folder,)  # a worker process maps the files, it is not sent them

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *space) of one sample."""
        return tuple(self.samples.shape[1:])

    def spread(self, most: int) -> NDArray[np.int64]:
        """The ids of at most that many samples, evenly spread over all."""
        return np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.int64))

    @property
    def content(self) -> str:
        """SHA-256 of samples, labels, label names and captions: equal for equal data, whatever it was read from."""
        return str(self.manifest["content"])

    @property
    def notes(self) -> dict[str, int]:
        """What was chosen while reading, in words, and for how many source files."""
        return dict(self.manifest["notes"])

    @property
    def details(self) -> dict[str, Any]:
        """What the reader said of the first source file besides."""
        return next((dict(source.details) for source in self.sources() if isinstance(source, Origin)), {})

    def sources(self) -> Iterator[Origin | Rejection]:
        """Every source file in the order of reading."""
        with (self.folder / SOURCES).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    facts = json.loads(line)
                    source = Rejection(**facts) if "reason" in facts else Origin(**facts | {"notes": tuple(facts["notes"])})
                except (ValueError, TypeError, KeyError, RecursionError) as error:
                    problem = f"{SOURCES}: {reason(error)}"
                    raise DataError(f"The pack '{self.folder}' is damaged: {problem}. Pack the data again.") from None
                yield source

    def rejections(self, most: int | None = None) -> list[Rejection]:
        """The source files that were skipped, with reasons: all, or the first `most`."""
        return list(islice((source for source in self.sources() if isinstance(source, Rejection)), most))

    def label_counts(self) -> dict[str, int]:
        """Samples of each label, in the order of `label_names`."""
        counts = np.bincount(np.asarray(self.labels) + 1, minlength=len(self.label_names) + 1)[1:]
        return dict(zip(self.label_names, map(int, counts), strict=True))

    def verify(self) -> None:
        """Reads every byte.

        Raises:
            DataError: a file is not what was written.
        """
        for name in self.manifest["files"]:
            if sha256(self.folder / name) != self.manifest["files"][name]["sha256"]:
                raise DataError(f"The pack '{self.folder}' is damaged: the content of {name} changed. Pack the data again.")

    def _samples(self) -> NDArray[Any]:
        samples: NDArray[Any] = np.load(self.folder / SAMPLES, mmap_mode="r", allow_pickle=False)
        return samples

    def _damage(self) -> str:
        """What is wrong by size and shape, or nothing."""
        if lacks := [name for name in ("content", "fingerprint", "notes", "settings") if name not in self.manifest]:
            return f"its manifest has no {lacks[0]}"
        for name in self.manifest["files"]:
            if Path(name).name != name:
                return f"{name} is no file in it"
            size, expected = (self.folder / name).stat().st_size, self.manifest["files"][name]["size"]
            if not isinstance(self.manifest["files"][name]["sha256"], str):
                return f"its manifest has no hash of {name}"
            if size != expected:
                return f"{name} has {size} bytes, expected {expected}"
        count, shape = self.manifest["count"], self.manifest["shape"]
        if [*self.samples.shape] != [count * self.KEEPS, *shape] or self.labels.shape != (count,):
            return f"its arrays are not the {count} samples of shape {tuple(shape)} that the manifest says"
        if self.captioned and (self._places.shape != (count + 1,) or np.diff(self._places).min() < 0):
            return "its captions are not those of its samples"
        return ""


def _manifest(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"'{folder}' is not a packed data set: it has no {MANIFEST}. A run packs its data into RUN/data.")
    try:
        manifest = json.loads(path.read_bytes())
        version = manifest[kind]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"'{path}' is not the manifest of a packed data set. Pack the data again.") from error
    if version != VERSION:
        raise DataError(f"'{folder}' is a pack of version {version}, expected {VERSION}. Pack the data again.")
    return dict(manifest)


def is_pack(folder: Path) -> bool:
    """Whether a folder says that it is a packed data set; other programs write files named `manifest.json` too."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and "pack" in manifest
