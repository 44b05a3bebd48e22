"""Pictures in arrays: IDX, .npy and .npz with their labels, every layout and range, and what is refused in which words."""

import struct
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.modalities.arrays import ArrayFile
from picture_files import FASHION, IMAGE, Bytes, idx, pixels, random_bytes, read, read_items


@given(arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))), st.sampled_from(["", ".gz"]))
@settings(max_examples=25, deadline=None)
def test_idx_round_trip(tmp_path_factory: pytest.TempPathFactory, array: Bytes, ending: str) -> None:
    path = idx(tmp_path_factory.mktemp("idx") / f"a-images-idx3-ubyte{ending}", array)
    np.testing.assert_array_equal(pixels(path)[:, 0], array)


def test_fashion_labels_and_names() -> None:
    items, rejected, notes = read(FASHION)
    assert (len(items), rejected) == (10_000, [])
    assert items[0].label == "ankle boot"
    assert items[17].source == "t10k-images-idx3-ubyte.gz#17"
    assert notes == "pictures are 28 x 28, grey"
    assert next(read_items(FASHION, labels=False)).label is None


def test_folder_with_two_splits_takes_train_and_says_so(tmp_path: Path) -> None:
    train, test = random_bytes(4, 3, 3), random_bytes(2, 3, 3)
    for name, array in (("train", train), ("t10k", test)):
        idx(tmp_path / f"{name}-images-idx3-ubyte", array)
        idx(tmp_path / f"{name}-labels-idx1-ubyte", np.arange(len(array), dtype=np.uint8))
    items, _, notes = read(tmp_path)
    assert [item.label for item in items] == ["0", "1", "2", "3"]
    assert "the first with 'train' in its name is used" in notes
    assert len(read(tmp_path / "t10k-images-idx3-ubyte")[0]) == 2
    (tmp_path / "train-images-idx3-ubyte").rename(tmp_path / "letters-images-idx3-ubyte")
    with pytest.raises(DataError, match=r"several arrays of pictures: letters-.*, t10k-.*\. Name the one"):
        read(tmp_path)


@pytest.mark.parametrize(("shape", "axis"), [
    ((5, 8, 7), None), ((5, 8, 7, 3), 3), ((5, 3, 8, 7), 1), ((5, 8, 7, 1), 3), ((5, 6, 8, 9), 1), ((5, 3, 3, 3), 3),
])
def test_npy_layouts(tmp_path: Path, shape: tuple[int, ...], axis: int | None) -> None:
    array = random_bytes(*shape)
    np.save(tmp_path / "a.npy", array)
    expected = array[:, None] if axis is None else np.moveaxis(array, axis, 1)
    np.testing.assert_array_equal(pixels(tmp_path / "a.npy"), expected)
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    np.testing.assert_array_equal(pixels(tmp_path / "a.npy"), expected)


LEVELS = np.arange(256).reshape(1, 16, 16)


@pytest.mark.parametrize(("stored", "white"), [
    ((LEVELS / 255).astype(np.float32), "white 1"),
    ((LEVELS / 127.5 - 1).astype(np.float64), "black is -1, white 1"),
    (LEVELS.astype(np.float16), "white 255"),
    ((LEVELS * 257).astype(np.uint16), "white is 65535"),
    ((LEVELS * 257).astype(">i4"), "white is 65535"),
    (LEVELS, "white is 255"),
])
def test_ranges_are_detected_and_stated(tmp_path: Path, stored: NDArray[Any], white: str) -> None:
    np.save(tmp_path / "a.npy", stored)
    items, _, notes = read(tmp_path / "a.npy")
    np.testing.assert_array_equal(items[0].data, LEVELS)
    assert white in notes


def test_twelve_bits_and_bools(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[[0, 4095]]], dtype=np.uint16))
    assert pixels(tmp_path / "a.npy").tolist() == [[[[0, 255]]]]
    np.save(tmp_path / "a.npy", np.array([[[False, True]]]))
    assert pixels(tmp_path / "a.npy").tolist() == [[[[0, 255]]]]


def test_npy_labels_beside(tmp_path: Path) -> None:
    for name, labels in (("x_train.npy", "y_train.npy"), ("images.npy", "labels.npy"), ("photos.npy", "photos_labels.npy")):
        folder = tmp_path / labels
        folder.mkdir()
        np.save(folder / name, random_bytes(2, 3, 3))
        np.save(folder / labels, np.array(["cat", "犬"]))
        assert [item.label for item in read(folder)[0]] == ["cat", "犬"]
        assert len(list(IMAGE.files(folder))) == 2


@pytest.mark.parametrize(("names", "labelled"), [
    (("images", "labels"), True), (("x", "y"), True), (("x_train", "y_train"), True), (("X", "Y"), True),
    (("arr_0",), False), (("pixels",), False),
])
def test_npz(tmp_path: Path, names: tuple[str, ...], labelled: bool) -> None:
    array = random_bytes(3, 4, 4)
    np.savez_compressed(tmp_path / "a.npz", **dict(zip(names, (array, np.array([[2], [0], [1]])), strict=False)))
    items = read(tmp_path / "a.npz")[0]
    np.testing.assert_array_equal(np.stack([item.data[0] for item in items]), array)
    assert [item.label for item in items] == (["2", "0", "1"] if labelled else [None] * 3)


def test_npz_says_which_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=random_bytes(3, 4, 4), x_test=random_bytes(2, 4, 4))
    assert "of the arrays x_test, x_train 'x_train' is used" in read(tmp_path / "a.npz")[2]


def test_resizing_and_channels_of_arrays(tmp_path: Path) -> None:
    array = np.full((2, 3, 40, 80), 9, dtype=np.uint8)
    array[:, :, :, 20:60] = 200  # the centre square
    np.save(tmp_path / "a.npy", array)
    assert np.abs(pixels(tmp_path / "a.npy", size=(20, 20)).astype(int) - 200).max() < 20  # the edge of the crop overshoots
    assert pixels(tmp_path / "a.npy", channels=1).shape == (2, 1, 32, 64)  # the longer side of 80 reaches 64
    np.save(tmp_path / "five.npy", random_bytes(2, 5, 12, 12))
    assert pixels(tmp_path / "five.npy", size=6).shape == (2, 5, 6, 6)
    with pytest.raises(DataError, match="has 5 channels, which cannot be read as 3"):
        read(tmp_path / "five.npy", channels=3)


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)


def saved(array: NDArray[Any]) -> Any:
    return lambda path: np.save(path, array)


@pytest.mark.parametrize(("name", "make", "message"), [
    ("a.npy", pickled, "holds Python objects or records"),
    ("a.npy", saved(np.zeros((2, 2), np.uint8)), r"shape \(2, 2\); expected pictures as \(N, H, W\)"),
    ("a.npy", saved(np.zeros((0, 2, 2), np.uint8)), r"shape \(0, 2, 2\); expected \(N, ...\) with N of at least 1"),
    ("a.npy", saved(np.full((2, 2, 2), np.nan)), "NaN or Inf, first in picture 0"),
    ("a.npy", saved(np.full((2, 2, 2), -3.0)), r"values from -3 to -3; expected \[0, 1\]"),
    ("a.npy", saved(np.full((2, 2, 2), -1)), "int64 values from -1 to -1"),
    ("a.npy", saved(np.zeros((2, 2, 2), complex)), "holds complex128; expected"),
    ("a.npy", lambda path: path.write_bytes(b""), "not a NumPy array"),
    ("a.npy", lambda path: path.write_bytes(b"PK\3\4"), "not a NumPy array"),
    ("a.npz", lambda path: path.write_bytes(b"no zip"), "cannot be read: File is not a zip file"),
    ("a.npz", lambda path: zipfile.ZipFile(path, "w").close(), "holds no array; expected pictures as images, x"),
    ("a-images-idx3-ubyte", lambda path: path.write_bytes(b"\x89PNG1234"), "begins with 89 50 4e 47; an IDX file begins"),
    ("a-images-idx3-ubyte", lambda path: path.write_bytes(b""), "begins with nothing"),
    ("a-images-idx3-ubyte", lambda path: path.write_bytes(b"\0\0\x08\3\0"), "cut short within its header"),
    ("a-images-idx3-ubyte", lambda path: path.write_bytes(idx(path, random_bytes(2, 3, 3)).read_bytes()[:-1]),
     "cut short: its header promises 2 rows"),
    ("a-images-idx3-ubyte", lambda path: path.write_bytes(idx(path, random_bytes(2, 3, 3)).read_bytes() + b"!"),
     "goes on after the 2 rows"),
    ("a-images-idx3-ubyte", lambda path: path.write_bytes(b"\0\0\x08\3" + b"\xff" * 12), "an array of shape"),
    ("a-images-idx3-ubyte.gz", lambda path: path.write_bytes(b"plain"), "cannot be read: Not a gzipped file"),
    ("a-images-idx3-ubyte.gz", lambda path: path.write_bytes(idx(path, random_bytes(9, 9, 9)).read_bytes()[:200]),
     "cannot be read: Compressed file ended"),
])
def test_bad_arrays(tmp_path: Path, name: str, make: Any, message: str) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize(("method", "why"), [
    (zipfile.ZIP_DEFLATED, "goes on beyond the 200 bytes"), (zipfile.ZIP_BZIP2, "packed by bzip2"),
])
def test_an_array_that_is_longer_than_the_directory_says(tmp_path: Path, method: int, why: str) -> None:
    """Of an .npz; a row of 64 MB, packed into kilobytes."""
    content = BytesIO()
    np.save(content, np.zeros((1, 1 << 13, 1 << 13), np.uint8))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("images.npy", content.getvalue())
    data = bytearray((tmp_path / "a.npz").read_bytes())
    for mark, place in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        struct.pack_into("<I", data, data.index(mark) + place, 200)
    (tmp_path / "a.npz").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(DataError, match=why):
        list(ArrayFile.open(tmp_path / "a.npz", "images").rows())
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 1 << 20


def test_a_header_of_an_array_without_end(tmp_path: Path) -> None:
    """64 MB of spaces."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"\x93NUMPY\2\0" + struct.pack("<I", 1 << 26) + b" " * (1 << 26))
    tracemalloc.start()
    with pytest.raises(DataError, match="a header of 67,108,864 bytes"):
        ArrayFile.open(tmp_path / "a.npz", "images")
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 1 << 20


def test_bad_labels(tmp_path: Path) -> None:
    idx(tmp_path / "a-images-idx3-ubyte", random_bytes(3, 2, 2))
    labels = tmp_path / "a-labels-idx1-ubyte"
    idx(labels, np.arange(2, dtype=np.uint8))
    with pytest.raises(DataError, match="holds 2 labels, 'a-images-idx3-ubyte' 3 pictures"):
        read(tmp_path)
    idx(labels, random_bytes(3, 4))
    with pytest.raises(DataError, match=r"holds uint8 \(3, 4\); expected one whole number or word each"):
        read(tmp_path)
    idx(labels, np.arange(3, dtype=np.uint8))
    (tmp_path / "labels.txt").write_text("hat\ncap\n")
    with pytest.raises(DataError, match="names 2 classes, but there is a label 2"):
        read(tmp_path)
    (tmp_path / "labels.txt").write_text("hat\nhat\ncap")
    with pytest.raises(DataError, match="no two alike and none empty"):
        read(tmp_path)
    (tmp_path / "labels.txt").write_text("\ufeffhat\ncap\nшапка\n", encoding="utf-8")
    assert [item.label for item in read(tmp_path)[0]] == ["hat", "cap", "шапка"]


def test_missing_path_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"There is no '.*fasion-mnist'\. Did you mean '.*fashion-mnist'\?"):
        read(FASHION.with_name("fasion-mnist"))
    with pytest.raises(DataError, match=r"There is no '/nowhere/at/all'\.$"):
        read(Path("/nowhere/at/all"))
