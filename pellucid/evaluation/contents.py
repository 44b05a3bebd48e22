"""What a packed data set holds, as `pellucid data show` tells it and the report of a run repeats it."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.core.files import atomic_write
from pellucid.core.items import Rejection
from pellucid.data.pack import Pack
from pellucid.modalities.modality import Modality
from pellucid.modalities.sheet import sheet

NAMED = 5
"""Rejected files that are named."""
ROWS, COLUMNS = 12, 12
"""Of a sheet of examples, at most."""
WIDEST = 2600
"""Pixels of a sheet of examples either way, about."""
LETTERS = 14
"""Of a label under a picture."""


def contents(pack: Pack) -> dict[str, Any]:
    """Counts as JSON holds them: samples, shape, labels, notes of the reader, rejected files by reason and the first ones.

    Reads one line for each source file, in memory that does not grow with them.
    """
    reasons: Counter[str] = Counter()
    named: list[Rejection] = []
    files = octets = 0
    for source in pack.sources():
        if isinstance(source, Rejection):
            reasons[_kind(source.reason)] += 1
            named += [source] if len(named) < NAMED else []
        else:
            files, octets = files + 1, octets + source.size
    labels = pack.label_counts()
    return {
        "samples": len(pack), "shape": list(pack.shape), "labels": labels, "unlabelled": len(pack) - sum(labels.values()),
        "captioned": pack.captioned, "captions": _some_captions(pack),
        "notes": pack.notes, "files": files, "bytes": octets, "rejected": sum(reasons.values()),
        "reasons": dict(reasons.most_common()), "examples": [[source.source, source.reason] for source in named],
    }  # fmt: skip


def _some_captions(pack: Pack) -> list[str]:
    """The first captions of a few samples, spread over the data."""
    found = (pack.captions(int(sample)) for sample in _spread(np.arange(len(pack)), 40 * NAMED))
    return list(dict.fromkeys(captions[0] for captions in found if captions))[:NAMED]


def write_examples(pack: Pack, modality: Modality, path: Path) -> bool:
    """A picture of samples spread over the data, a row for each label; False for data that a picture cannot show."""
    rows = list(_rows(pack))
    try:
        *_, height, width = modality.pictures(pack[rows[0][:1]][0])[0].shape
        few = max(1, round(len(rows[0]) * min(1.0, 2 * height / width)))  # of strips, such as films, fewer in a row
        few = max(1, min(few, WIDEST // width))
        rows = [row[:few] for row in rows[: max(1, WIDEST // height)]]
        ids = list(chain.from_iterable(rows))
        names = [_short(pack.label_names[label]) if label >= 0 else None for label in pack.labels[ids]]
        shown = modality.pictures(pack[np.array(ids)][0])
        picture = sheet(shown, columns=max(map(len, rows)), labels=names if any(names) else None)
    except DataError:  # channels that are no colours
        return False
    with atomic_write(path) as temporary:
        picture.save(temporary)
    return True


def duplicates(pack: Pack) -> int:
    """Samples that equal an earlier one, value by value."""
    hashes = np.fromiter((hash(row.tobytes()) for row in pack.samples), dtype=np.int64, count=len(pack))
    return len(pack) - len(np.unique(hashes))


def _rows(pack: Pack) -> Iterator[NDArray[np.int64]]:
    """Ids for each row of a sheet: of one label, as many as all of them have; or just spread over the data."""
    labels = np.asarray(pack.labels)
    shown = _spread(np.unique(labels), ROWS)
    if len(shown) < 2 or (labels < 0).any():
        wide = min(COLUMNS, int(np.ceil(np.sqrt(len(pack)))))
        ids = _spread(np.arange(len(pack)), min(wide * wide, len(pack)))
        yield from (ids[i : i + wide] for i in range(0, len(ids), wide))
        return
    rows = [np.flatnonzero(labels == label) for label in shown]
    for row in rows:
        yield _spread(row, min(COLUMNS, *map(len, rows)))


def _spread(values: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most that many, evenly spaced, both ends among them."""
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return np.asarray(values[places])


def _short(name: str) -> str:
    """As much as there is room for under a picture."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _kind(reason: str) -> str:
    """A reason without what is particular to one file.

    >>> _kind("damaged: image file is truncated (12 bytes not processed)")
    'damaged'
    """
    return reason.partition(":")[0].partition(" (")[0]
