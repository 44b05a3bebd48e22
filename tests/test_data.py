"""Packs hold exactly what was read, or do not exist; the order is a uniform permutation that any split agrees on."""

import gzip
import json
import pickle
import tracemalloc
from collections.abc import Iterator
from math import factorial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pellucid.core.errors import ConfigError, DataError, UserError
from pellucid.core.files import atomic_folder, atomic_write
from pellucid.core.items import Item, Origin, Record, Rejection
from pellucid.core.random import Key
from pellucid.data.growing import GrowingArray
from pellucid.data.hashing import fingerprint
from pellucid.data.order import order, stream
from pellucid.data.pack import Pack
from pellucid.data.write import write_pack
from pellucid.modalities import modalities
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.prepare import prepare

FASHION = Path(__file__).parents[1] / "data" / "fashion-mnist"


def records(count: int, shape: tuple[int, ...] = (1, 4, 5), names: str = "ba") -> Iterator[Record]:
    """`count` random pictures from one source, every third unlabelled, and a rejection."""
    rng = np.random.default_rng(0)
    yield Origin(source="all.npy", size=7, sha256="00", notes=("a note",))
    for index in range(count):
        label = names[index % len(names)] if index % 3 else None
        yield Item(source=f"all.npy#{index}", data=rng.integers(0, 256, shape, dtype=np.uint8), label=label)
    yield Rejection(source="odd.png", reason="an empty file")


# ---------------------------------------------------------------------------------------------------------- packs


def test_fashion_round_trip_is_exact(tmp_path: Path) -> None:
    image = modalities["image"].example()
    pack = write_pack(image.read(FASHION), tmp_path / "pack")
    raw = gzip.decompress((FASHION / "t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(10_000, 1, 28, 28)
    digits = np.frombuffer(gzip.decompress((FASHION / "t10k-labels-idx1-ubyte.gz").read_bytes()), dtype=np.uint8, offset=8)
    classes = (FASHION / "labels.txt").read_text().splitlines()

    assert isinstance(pack.samples, np.memmap)
    assert len(pack) == 10_000
    assert pack.shape == (1, 28, 28)
    samples, labels = pack[np.arange(10_000)]
    np.testing.assert_array_equal(image.encode(image.decode(samples)), pixels)
    assert [pack.label_names[label] for label in labels] == [classes[digit] for digit in digits]
    assert pack.label_names == tuple(sorted(classes))
    assert set(pack.label_counts().values()) == {1000}
    assert [source.source for source in pack.sources()] == [
        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "labels.txt"
    ]


def test_pack_holds_what_was_given(tmp_path: Path) -> None:
    given_items = [record for record in records(10) if isinstance(record, Item)]
    pack = write_pack(records(10), tmp_path / "pack")
    samples, labels = pack[np.array([9, 0, 4])]
    np.testing.assert_array_equal(samples, np.stack([given_items[index].data for index in (9, 0, 4)]))
    assert labels.tolist() == [-1, -1, 1]
    assert pack.label_names == ("a", "b")
    assert pack.label_counts() == {"a": 3, "b": 3}
    assert pack.rejections() == [Rejection(source="odd.png", reason="an empty file")]
    assert pack.notes == {"a note": 1}
    assert next(pack.sources()) == Origin(source="all.npy", size=7, sha256="00", notes=("a note",))
    pack.verify()


def test_numbers_sort_as_numbers(tmp_path: Path) -> None:
    items = (Item(source="x", data=np.zeros(1, np.uint8), label=name) for name in ("10", "b", "9", "a"))
    assert write_pack(items, tmp_path / "pack").label_names == ("9", "10", "a", "b")


def test_content_is_of_the_data_alone(tmp_path: Path) -> None:
    first = write_pack(records(5), tmp_path / "1", settings={"size": 1})
    again = write_pack((record for record in records(5) if isinstance(record, Item)), tmp_path / "2")
    other = write_pack(records(6), tmp_path / "3")
    assert first.content == again.content != other.content


def test_pickled_pack_maps_the_same_files(tmp_path: Path) -> None:
    pack = write_pack(records(500), tmp_path / "pack")
    sent = pickle.dumps(pack)
    assert len(sent) < 500
    np.testing.assert_array_equal(pickle.loads(sent)[np.arange(500)][0], pack.samples)


class StopError(Exception):
    pass


def failing(after: int) -> Iterator[Record]:
    yield from (record for record in records(after) if not isinstance(record, Rejection))
    raise StopError


@pytest.mark.parametrize("after", [0, 1, 50])
def test_interrupted_pack_leaves_nothing(tmp_path: Path, after: int) -> None:
    with pytest.raises(StopError):
        write_pack(failing(after), tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_pack_keeps_the_old_one(tmp_path: Path) -> None:
    old = write_pack(records(5), tmp_path / "pack")
    with pytest.raises(StopError):
        write_pack(failing(3), tmp_path / "pack")
    assert Pack.open(tmp_path / "pack").content == old.content
    assert write_pack(records(6), tmp_path / "pack").content != old.content
    assert [entry.name for entry in tmp_path.iterdir()] == ["pack"]


def test_arrays_without_a_manifest_are_no_pack(tmp_path: Path) -> None:
    """What a SIGKILL leaves under the temporary name."""
    write_pack(records(5), tmp_path / "pack")
    (tmp_path / "pack" / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"not a packed data set: it has no manifest\.json"):
        Pack.open(tmp_path / "pack")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(("name", "harm", "message"), [
    ("samples.npy", cut, "damaged: .*samples.npy has 227 bytes, expected 228|damaged: mmap length"),
    ("labels.npy", Path.unlink, "damaged: .*No such file"),
    ("sources.jsonl", cut, "damaged: sources.jsonl has"),
    ("samples.npy", lambda path: path.write_bytes(b"x" * path.stat().st_size), "damaged"),
    ("manifest.json", cut, None),
    ("manifest.json", lambda path: path.write_text("{"), "not the manifest of a packed data set"),
    ("manifest.json", lambda path: path.write_text("[]"), "not the manifest of a packed data set"),
    ("manifest.json", lambda path: path.write_text('{"pack": 99}'), "version 99, expected 1"),
    ("manifest.json", lambda path: path.write_text('{"pack": 1}'), "damaged: 'label_names'"),
    ("manifest.json", lambda path: path.write_text(path.read_text().replace('"count": 5', '"count": 4')),
     "not the 4 samples"),
])
def test_damage_is_seen(tmp_path: Path, name: str, harm: object, message: str | None) -> None:
    write_pack(records(5), tmp_path / "pack")
    assert callable(harm)
    harm(tmp_path / "pack" / name)
    if message is None:  # only the final newline is gone
        assert len(Pack.open(tmp_path / "pack")) == 5
        return
    with pytest.raises(DataError, match=message):
        Pack.open(tmp_path / "pack")
    assert Pack.current(tmp_path / "pack", {}, "") is None


def test_a_flipped_bit_fails_verification(tmp_path: Path) -> None:
    pack = write_pack(records(5), tmp_path / "pack")
    path = tmp_path / "pack" / "samples.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"the content of samples\.npy changed"):
        pack.verify()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing to pack: .* 1 files were rejected"):
        write_pack(iter([Rejection(source="a", reason="b")]), tmp_path / "pack")
    mixed = [Item(source=f"{side}.png", data=np.zeros((1, side, side), np.uint8)) for side in (2, 3)]
    with pytest.raises(DataError, match=r"'3\.png' is uint8 \(1, 3, 3\), the samples before it are uint8 \(1, 2, 2\)"):
        write_pack(mixed, tmp_path / "pack")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    with pytest.raises(DataError, match="holds other files than a pack"):
        write_pack(records(3), tmp_path / "home")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write"):
        write_pack(records(3), tmp_path / "file" / "pack")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "home"]


def test_reuse(tmp_path: Path) -> None:
    source = tmp_path / "a.npy"
    source.write_bytes(b"123")
    mark = fingerprint([source])
    write_pack(records(3), tmp_path / "pack", settings={"size": (1, 2)}, fingerprint=mark)
    current = Pack.current(tmp_path / "pack", {"size": (1, 2)}, mark)
    assert current is not None
    assert len(current) == 3
    assert Pack.current(tmp_path / "pack", {"size": (1, 3)}, mark) is None
    assert Pack.current(tmp_path / "none", {"size": (1, 2)}, mark) is None
    source.write_bytes(b"1234")
    assert fingerprint([source]) != mark
    assert Pack.current(tmp_path / "pack", {"size": (1, 2)}, fingerprint([source])) is None


def test_reuse_in_training(tmp_path: Path) -> None:
    """A size of two sides is a setting of the pack, in whatever form; another one makes another pack."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (9, 12, 24), dtype=np.uint8))

    def prepared(data: Path, *more: str) -> Pack:
        return prepare(apply_settings(RunConfig(), [f"data.path={data}", *more]), tmp_path / "pack").pack

    made = []
    for size, shape in (("[8, 6]", (1, 8, 6)), ("[8, 6]", (1, 8, 6)), ("16", (1, 8, 16)), ("16", (1, 8, 16))):
        assert prepared(tmp_path / "x.npy", f"data.size={size}").shape == shape
        made.append((tmp_path / "pack" / "manifest.json").stat().st_mtime_ns)
    assert made[0] == made[1] != made[2] == made[3]
    for size in ("16", "[8, 16]"):
        assert prepared(tmp_path / "pack", f"data.size={size}").shape == (1, 8, 16)
    for size in ("8", "[16, 8]"):
        with pytest.raises(ConfigError, match=r"samples of shape \(1, 8, 16\), which data.size"):
            prepared(tmp_path / "pack", f"data.size={size}")


def test_a_mistyped_path_is_no_pack(tmp_path: Path) -> None:
    """What was packed before serves in the place of a source that is gone only to the run that trained on it."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8))
    right, wrong = (apply_settings(RunConfig(), [f"data.path={tmp_path / name}"]) for name in ("x.npy", "y.npy"))
    made = prepare(right, tmp_path / "pack").pack
    with pytest.raises(DataError, match=r"There is no '.*y\.npy'\. Did you mean '.*x\.npy'"):
        prepare(wrong, tmp_path / "pack")
    assert Pack.open(tmp_path / "pack").content == made.content
    assert prepare(wrong, tmp_path / "pack", started=True).pack.content == made.content


def test_memory_does_not_grow(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        picture = np.zeros((1, 32, 32), np.uint8)
        items = (Item(source="", data=picture, label="ab"[index % 2]) for index in range(count))
        tracemalloc.start()
        write_pack(items, tmp_path / str(count))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    small, large = peak(1_000), peak(11_000)  # 10 MB more on disk
    assert large - small < 100_000


@given(counts=st.integers(0, 30), shape=st.lists(st.integers(0, 4), max_size=3), kind=st.sampled_from(["u1", "<i8", "<f4"]))
@settings(max_examples=40, deadline=None)
def test_growing_array_is_npy(tmp_path_factory: pytest.TempPathFactory, counts: int, shape: list[int], kind: str) -> None:
    rows = np.random.default_rng(1).integers(0, 100, (counts, *shape)).astype(kind)
    path = tmp_path_factory.mktemp("growing") / "a.npy"
    with GrowingArray(path, shape, kind) as array:
        for row in rows:
            array.append(np.asarray(row))
        with pytest.raises(ValueError, match="expected"):
            array.append(np.zeros((9, 9, 9, 9), kind))
    read = np.load(path)
    assert read.dtype == rows.dtype
    np.testing.assert_array_equal(read, rows)


# --------------------------------------------------------------------------------------------------- atomic files


def test_atomic_write_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("old")
    with pytest.raises(StopError):
        write_half(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]
    with pytest.raises(UserError, match=r"Cannot write .*directory"):
        write_empty(path.parent)


def write_half(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise StopError


def write_empty(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.touch()


def test_atomic_folder_replaces_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with atomic_folder(tmp_path / "out") as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / name).touch()
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["deep", "b"]
    assert len(list(tmp_path.iterdir())) == 1


# ---------------------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 1000, 4097])
def test_order_is_a_bijection(count: int) -> None:
    for epoch in range(3):
        assert sorted(order(11, epoch, count, np.arange(count))) == list(range(count))


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**9), count=st.integers(1, 3000), data=st.data())
@settings(max_examples=50, deadline=None)
def test_order_does_not_depend_on_the_split(seed: int, epoch: int, count: int, data: st.DataObject) -> None:
    whole = order(seed, epoch, count, np.arange(count))
    places = data.draw(st.lists(st.integers(0, count - 1), max_size=20))
    np.testing.assert_array_equal(order(seed, epoch, count, np.array(places, dtype=np.int64)), whole[places])
    assert len(set(whole.tolist())) == count


def test_order_differs_by_epoch_and_seed() -> None:
    places = np.arange(1000)
    base = order(0, 0, 1000, places)
    for other in (order(0, 1, 1000, places), order(1, 0, 1000, places)):
        # agreements of independent permutations are Poisson(1) in number
        assert (base == other).sum() <= 8


def test_order_is_uniform_over_places() -> None:
    """How often sample i stands at place p, over epochs: chi-square with the (n - 1)^2 degrees of a doubly bound table."""
    count, epochs = 23, 3000
    table = np.zeros((count, count))
    np.add.at(table, (np.arange(count * epochs) % count, stream(5, count, 0, count * epochs)), 1)
    expected = epochs / count
    statistic = ((table - expected) ** 2 / expected).sum()
    assert 1e-3 < stats.chi2.sf(statistic, (count - 1) ** 2) < 1 - 1e-3


def test_order_reaches_every_permutation_alike() -> None:
    for count in (3, 5):
        _, seen = np.unique(stream(5, count, 0, 12_000 * count).reshape(-1, count), axis=0, return_counts=True)
        assert len(seen) == factorial(count)
        assert stats.chisquare(seen).pvalue > 1e-3


def scalar_order(seed: int, epoch: int, count: int, position: int) -> int:
    """The module's description in Python's unbounded integers, one place at a time."""
    half = next(bits for bits in range(3, 32) if 4**bits >= count)
    x = position
    while True:
        left, right = divmod(x, 2**half)
        for key in Key(seed, "order", epoch).bits([0], 8)[0]:
            z = right ^ int(key)
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
            left, right = right, left ^ ((z ^ (z >> 31)) % 2**half)
        x = left * 2**half + right
        if x < count:
            return x


@pytest.mark.parametrize("count", [1, 7, 64, 65, 60_000, 10**12])
def test_order_equals_its_scalar_form(count: int) -> None:
    places = np.linspace(0, count - 1, 7).astype(np.int64)
    expected = [scalar_order(2**64 - 1, 3, count, int(place)) for place in places]
    assert order(2**64 - 1, 3, count, places).tolist() == expected


@given(st.integers(1, 50), st.integers(0, 300), st.lists(st.integers(0, 60), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_stream_agrees_for_any_split(count: int, start: int, pieces: list[int]) -> None:
    whole = stream(9, count, start, sum(pieces))
    parts, at = [], start
    for n in pieces:
        parts.append(stream(9, count, at, n))
        at += n
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_stream_covers_each_epoch_once() -> None:
    ids = stream(9, 10, 0, 30).reshape(3, 10)
    assert np.sort(ids).tolist() == [list(range(10))] * 3
    assert ids[1].tolist() == order(9, 1, 10, np.arange(10)).tolist()


@pytest.mark.parametrize(("count", "places"), [(0, []), (5, [5]), (5, [-1])])
def test_order_refuses_places_outside(count: int, places: list[int]) -> None:
    with pytest.raises(ValueError, match=r"positions must lie in range\("):
        order(0, 0, count, np.array(places, dtype=np.int64))


def test_manifest_is_readable(tmp_path: Path) -> None:
    write_pack(records(4), tmp_path / "pack", settings={"size": 4}, fingerprint="f")
    manifest = json.loads((tmp_path / "pack" / "manifest.json").read_text())
    assert {key: manifest[key] for key in ("pack", "count", "shape", "dtype", "label_names", "rejected", "settings")} == {
        "pack": 1, "count": 4, "shape": [1, 4, 5], "dtype": "uint8", "label_names": ["a", "b"], "rejected": 1,
        "settings": {"size": 4},
    }
