"""Fashion-MNIST, from Debian's package where that is installed, else from the Hugging Face hub."""

import gzip
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import UserError
from pellucid.known.recipe import Progress, Recipe

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where the package dataset-fashion-mnist puts its files."""
IDX = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
HEADERS = (16, 8)  # bytes before the values
HUB = "zalando-datasets/fashion_mnist"
COUNT, SIDE = 60_000, 28
HASHES = (
    "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
)
"""SHA-256 of all pixels and of all labels, a byte each."""
NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

Bytes = NDArray[np.uint8]


class FashionMNIST(Recipe):
    """The 60,000 training pictures as one array, `images.npy`, with `labels.npy` and the names in `labels.txt`."""

    title: ClassVar[str] = "Fashion-MNIST: 60,000 grey pictures of clothes, 28 x 28 pixels, ten kinds"
    origin: ClassVar[str] = "https://github.com/zalandoresearch/fashion-mnist"
    credit: ClassVar[str] = (
        "Han Xiao, Kashif Rasul and Roland Vollgraf, \"Fashion-MNIST: a novel image dataset for benchmarking machine "
        "learning algorithms\", arXiv:1708.07747, 2017."
    )
    licence: ClassVar[str] = """The MIT License (MIT)

Copyright (c) 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""

    def write(self, folder: Path, progress: Progress) -> None:
        pixels, labels = _installed() if all((DEBIAN / name).is_file() for name in IDX) else _downloaded(progress)
        if tuple(sha256(values.tobytes()).hexdigest() for values in (pixels, labels)) != HASHES:
            raise UserError("What was found as Fashion-MNIST is not it: its content has another hash than the original's")
        np.save(folder / "images.npy", pixels)
        np.save(folder / "labels.npy", labels)
        (folder / "labels.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
        progress(COUNT, COUNT)


def _installed() -> tuple[Bytes, Bytes]:
    files = [gzip.decompress((DEBIAN / name).read_bytes()) for name in IDX]
    pixels, labels = (np.frombuffer(file, np.uint8, offset=start) for file, start in zip(files, HEADERS, strict=True))
    return pixels.reshape(-1, SIDE, SIDE), labels


def _downloaded(progress: Progress) -> tuple[Bytes, Bytes]:
    found = _load()
    pixels, labels = np.empty((len(found), SIDE, SIDE), np.uint8), np.empty(len(found), np.uint8)
    for index, row in enumerate(found):
        pixels[index], labels[index] = np.asarray(row["image"]), row["label"]
        progress(index + 1, len(found))
    return pixels, labels


def _load() -> Any:
    """The training split by the `datasets` library."""
    try:
        import datasets
        from huggingface_hub import HfApi
    except ImportError:
        raise _unreachable("the library `datasets` is missing: pip install 'pellucid[data]'") from None
    try:
        HfApi().dataset_info(HUB, timeout=20)  # fails at once where `datasets` would try for half a minute
        return datasets.load_dataset(HUB, split="train")  # nosec B615
    except Exception as error:  # of the network, of the hub, of its files
        raise _unreachable((str(error).splitlines() or [type(error).__name__])[0]) from None


def _unreachable(reason: str) -> UserError:
    return UserError(
        f"Fashion-MNIST cannot be fetched from the Hugging Face hub ({reason}). Without it: install Debian's or Ubuntu's "
        f"package dataset-fashion-mnist and repeat this command, or train on any folder that holds {' and '.join(IDX)}"
    )
