"""From the records of a modality's `read` to a packed data set, in memory that does not grow with the data."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pellucid.core.errors import DataError
from pellucid.core.files import atomic_folder, sha256
from pellucid.core.items import Item, Record, Rejection
from pellucid.data.growing import GrowingArray
from pellucid.data.pack import CAPTIONS, LABELS, MANIFEST, PLACES, SAMPLES, SOURCES, VERSION, Pack

BLOCK = 1 << 20


def write_pack(
    records: Iterable[Record], folder: Path | str, *, settings: Mapping[str, Any] | None = None, fingerprint: str = ""
) -> Pack:
    """Packs the items among `records` into `folder`, replacing a pack that is there.

    Built under a temporary name and renamed when complete: after an interruption the old pack, or nothing, is there.

    Arguments:
        records: as yielded by a modality's `read`; all items of one shape and dtype.
        settings: what it was read with, for `Pack.current`; anything JSON holds.
        fingerprint: of the source files (`hashing.fingerprint`), for `Pack.current`.

    Raises:
        DataError: no item among the records, items of different shapes, or `folder` holds something else.
        UserError: the folder cannot be written.
    """
    write(records, Path(folder), Pack.KIND, settings or {}, fingerprint)
    return Pack.open(folder)


class Rows(Protocol):
    """Where samples go, one by one."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    count: int

    def append(self, row: NDArray[Any]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def write(
    records: Iterable[Record], folder: Path, kind: str, settings: Mapping[str, Any], fingerprint: str, *,
    rows: Callable[[Path, Sequence[int], DTypeLike], Rows] = GrowingArray,
    finish: Callable[[Path], str] = lambda _building: "",
) -> None:  # fmt: skip
    """The same for whatever has the manifest of a pack.

    Arguments:
        kind: what the manifest calls it.
        rows: takes the samples.
        finish: writes what else there is into a folder, and returns a hash of the samples, where there is no file of them.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise DataError(f"'{folder}' holds other files than a pack; give a new or empty folder.")
    with atomic_folder(folder) as building:
        facts = _write_arrays(records, building, rows)
        own = finish(building)
        files = {
            name: {"size": (building / name).stat().st_size, "sha256": sha256(building / name)}
            for name in sorted(file.name for file in building.iterdir())
        }
        captions = [files[CAPTIONS]["sha256"]] if facts["captioned"] else []
        data = [own or files[SAMPLES]["sha256"], files[LABELS]["sha256"], facts["label_names"], *captions]
        content = hashlib.sha256(json.dumps(data).encode()).hexdigest()
        manifest = {
            kind: VERSION, **facts, "content": content, "files": files,
            "settings": dict(settings), "fingerprint": fingerprint,
        }
        (building / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _write_arrays(
    records: Iterable[Record], building: Path, rows: Callable[[Path, Sequence[int], DTypeLike], Rows]
) -> dict[str, Any]:
    """Writes all but the manifest; returns what the manifest says of it."""
    names: dict[str, int] = {}
    notes: Counter[str] = Counter()
    rejected = missing = 0
    samples: Rows | None = None
    with ExitStack() as stack:
        labels = stack.enter_context(GrowingArray(building / LABELS, (), np.int64))
        sources = stack.enter_context((building / SOURCES).open("w", encoding="utf-8"))
        captions = stack.enter_context(_Captions(building))
        for record in records:
            if isinstance(record, Item):
                if samples is None:
                    array = rows(building / SAMPLES, record.data.shape, record.data.dtype)
                    samples = stack.enter_context(array)
                _check(record, samples)
                samples.append(record.data)
                missing += record.data.dtype.kind == "f" and not np.isfinite(record.data).all()
                index = -1 if record.label is None else names.setdefault(record.label, len(names))
                labels.append(np.asarray(index, dtype=np.int64))
                captions.append(record.captions)
                continue
            sources.write(json.dumps(asdict(record)) + "\n")
            if isinstance(record, Rejection):
                rejected += 1
            else:
                notes.update(record.notes)
    if samples is None:
        raise DataError(f"There is nothing to pack: no sample could be read and {rejected} files were rejected.")
    return {
        "count": samples.count,
        "shape": list(samples.shape),
        "dtype": str(samples.dtype),
        "label_names": _sort_labels(building / LABELS, list(names)),
        "captioned": captions.count,
        "missing": int(missing),
        "rejected": rejected,
        "notes": dict(notes),
    }


class _Captions:
    """The lines of captions and where each begins; no files at all where no sample has any."""

    def __init__(self, building: Path) -> None:
        self.count = 0
        self._building = building
        self._lines = (building / CAPTIONS).open("wb")
        self._places = GrowingArray(building / PLACES, (), np.int64)

    def append(self, captions: Sequence[str]) -> None:
        self._places.append(np.asarray(self._lines.tell(), dtype=np.int64))
        self._lines.write("\t".join(captions).encode() + b"\n")
        self.count += bool(captions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._places.append(np.asarray(self._lines.tell(), dtype=np.int64))
        self._lines.close()
        self._places.__exit__(*error)
        if not self.count:
            (self._building / CAPTIONS).unlink()
            (self._building / PLACES).unlink()


def _check(item: Item, samples: Rows) -> None:
    if (item.data.shape, item.data.dtype) != (samples.shape, samples.dtype):
        raise DataError(
            f"'{item.source}' is {item.data.dtype} {item.data.shape}, the samples before it are "
            f"{samples.dtype} {samples.shape}. One pack holds one shape: read with a fixed size and channels."
        )


def _sort_labels(path: Path, names: list[str]) -> list[str]:
    """Renumbers the labels in the file, given in the order of first sight, to the sorted order, which it returns."""
    ordered = sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    rank = {name: index for index, name in enumerate(ordered)}
    table = np.array([rank[name] for name in names] + [-1], dtype=np.int64)  # -1, no label, picks the last
    labels: NDArray[np.int64] = np.load(path, mmap_mode="r+", allow_pickle=False)
    for start in range(0, len(labels), BLOCK):
        labels[start : start + BLOCK] = table[labels[start : start + BLOCK]]
    return ordered
