"""Which files belong together: the array of pictures, its labels, the names of the classes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pellucid.core.errors import DataError
from pellucid.modalities.arrays import ArrayFile, members
from pellucid.modalities.pixels import channels

IDX_NAME = re.compile(r"[.-]idx\d?(-ubyte)?(\.gz)?$")
PICTURE_KEYS = ("images", "x", "data", "x_train", "train_images", "arr_0")
LABEL_KEYS = ("labels", "y", "label", "targets", "y_train", "train_labels", "arr_1")
CLASS_NAMES = "labels.txt"
GLANCE = 100  # arrays whose headers are looked at
CHANNELS = 16  # of a picture among few; more are taken for a stack of pictures


def is_array(path: Path) -> bool:
    """Whether the name is that of an IDX, .npy or .npz file."""
    return path.suffix in (".npy", ".npz") or bool(IDX_NAME.search(path.name))


@dataclass(frozen=True, kw_only=True)
class ArrayPair:
    """An array of pictures and what was found beside it.

    Arguments:
        pictures, labels: file and, in a .npz archive, name of the array.
        class_names: a text file with a class name on each line.
        note: a sentence for the user about the choice among several.
    """

    pictures: tuple[Path, str | None]
    labels: tuple[Path, str | None] | None
    class_names: Path | None
    note: str = ""

    @classmethod
    def find(cls, path: Path) -> "ArrayPair | None":
        """The pair that `path`, an array file or a folder with one, stands for.

        None when there is none, or when several arrays of the same few channels are a picture each.

        Raises:
            DataError: several candidates and none of them called "train".
        """
        if not path.is_dir():
            return _pair(path) if is_array(path) else None
        found = sorted(file for file in path.iterdir() if is_array(file) and not _is_labels(file) and file.is_file())
        if len(found) < 2:
            return _pair(found[0]) if found else None
        train = [file for file in found if re.search(r"(^|[^a-z])train([^a-z]|$)", file.name.lower())]
        names = ", ".join(file.name for file in found)
        if len(train) != 1 and _are_pictures(found):
            return None
        if len(train) != 1:
            raise DataError(f"'{path}' holds several arrays of pictures: {names}. Name the one to use.")
        return _pair(train[0], note=f"of {names} the first with 'train' in its name is used")

    def files(self) -> Iterator[Path]:
        """Every file that takes part."""
        yield self.pictures[0]
        if self.labels and self.labels[0] != self.pictures[0]:
            yield self.labels[0]
        if self.class_names:
            yield self.class_names


def _pair(path: Path, note: str = "") -> ArrayPair:
    names = path.parent / CLASS_NAMES
    class_names = names if names.is_file() else None
    if path.suffix != ".npz":
        beside = next((file for file in _label_files(path) if file.is_file() and file != path), None)
        found = (beside, None) if beside else None
        return ArrayPair(pictures=(path, None), labels=found, class_names=class_names, note=note)
    held = {name.lower(): name for name in reversed(members(path))}
    key = next((held[key] for key in PICTURE_KEYS if key in held), None)
    key = key or next((name for name in held.values() if len(ArrayFile.open(path, name).shape) in (3, 4)), None)
    if key is None:
        raise DataError(f"'{path}' holds {', '.join(held) or 'no array'}; expected pictures as {', '.join(PICTURE_KEYS)}.")
    label = next((held[key] for key in LABEL_KEYS if key in held), None)
    more = f"of the arrays {', '.join(sorted(held))} '{key}' is used" if len(held) > 1 + (label is not None) else ""
    labels = (path, label) if label is not None else None
    return ArrayPair(pictures=(path, key), labels=labels, class_names=class_names, note=note or more)


def _are_pictures(files: list[Path]) -> bool:
    """Whether each array is one picture: of two or three axes and of as many channels as the others, which are few."""
    found = set()
    for path in files[:GLANCE]:
        try:
            shape = ArrayFile.open(path).shape if path.suffix == ".npy" else ()
        except DataError:  # damaged, which is said when it is read
            continue
        found.add(channels(shape)[1][0] if len(shape) in (2, 3) else 0)
    return len(found) == 1 and 0 < found.pop() <= max(CHANNELS, len(files))


def _label_files(path: Path) -> Iterator[Path]:
    """Where the labels of an array may lie, the likeliest first."""
    yield path.with_name(re.sub(r"idx[34]", "idx1", path.name.replace("images", "labels")))
    if path.suffix == ".npy":
        yield path.with_name(re.sub(r"^x(?=[_.])", "y", path.name))
        yield path.with_name(f"{path.stem}_labels.npy")
        yield path.with_name("labels.npy")


def _is_labels(path: Path) -> bool:
    return bool(re.search(r"labels|idx1|^y[_.]", path.name))
