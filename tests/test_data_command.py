"""`pellucid data`: what it says of data is true, what it packs trains, what it fetches is the original with its licence."""

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid.cli import main
from pellucid.data.pack import Pack
from pellucid.evaluation.contents import duplicates, write_examples
from pellucid.evaluation.shapes import shapes
from pellucid.known import fashion_mnist, photographs
from pellucid.modalities.image import Image as Pictures
from pellucid.training.config import parse_config
from pellucid.training.prepare import prepare
from picture_files import idx, random_bytes, read, save

Call = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs `pellucid data WORDS` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pellucid", "data", *shlex.split(line)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two labels, dark and bright, of several sizes; one picture twice, three files that are none."""
    folder = tmp_path / "photos"
    for index, (width, height) in enumerate(((40, 20), (20, 40), (30, 30), (24, 24))):
        save(folder / "dark" / f"{index}.png", random_bytes(height, width, 3) // 8)
        save(folder / "light" / f"{index}.png", 255 - random_bytes(height, width, 3) // 8)
    save(folder / "light" / "again.png", 255 - random_bytes(20, 40, 3) // 8)
    (folder / "dark" / "empty.png").touch()
    (folder / "dark" / "notes.txt").write_text("none")
    (folder / "light" / "cut.png").write_bytes((folder / "light" / "0.png").read_bytes()[:300])
    return folder


def test_captions_are_told(call: Call, tmp_path: Path) -> None:
    for index, text in enumerate(("a red hat", "a blue cat")):
        save(tmp_path / "in" / f"{index}.png", random_bytes(8, 8, 3)).with_suffix(".txt").write_text(text)
    code, out, _ = call("show in --out in.html")
    assert code == 0
    assert re.search(r"captions +of 2 samples, such as: a red hat; a blue cat\n", out)
    assert re.search(r"training +learns to make what captions say", out)
    assert "a red hat; a blue cat" in Path("in.html").read_text(encoding="utf-8")


def test_help_is_quick_and_has_examples() -> None:
    """As for every command: 80 columns, examples, neither torch nor NumPy."""
    heavy = "import atexit, sys; atexit.register(lambda: print({'torch', 'numpy'} & {*sys.modules}, file=sys.stderr))\n"
    for words in (["-h"], ["show", "-h"], ["pack", "-h"], ["fetch", "-h"]):
        ended = subprocess.run(
            [sys.executable, "-c", heavy + "from pellucid.cli import main; main()", "data", *words],
            capture_output=True, text=True, check=False,
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"},
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, "set()\n")
        assert re.search(r"Examples: *\n   pellucid data ", ended.stdout)
        assert max(map(len, ended.stdout.splitlines())) <= 80
        assert len(words) == 1 or {"--json", "--quiet"} <= set(re.findall(r"--\w+", ended.stdout))


def test_show_tells_what_is_there(call: Call, photos: Path) -> None:
    code, out, err = call("show photos --size 16 --json")
    told = json.loads(out)
    assert code == 0
    assert (told["samples"], told["shape"], told["labels"]) == (9, [3, 16, 16], {"dark": 4, "light": 5})
    assert (told["files"], told["rejected"], told["duplicates"], told["unlabelled"]) == (9, 3, 1, 0)
    assert sum(told["reasons"].values()) == 3
    assert told["reasons"]["an empty file"] == 1
    assert {name for name, _ in told["examples"]} == {"dark/empty.png", "dark/notes.txt", "light/cut.png"}
    found = told["found"]  # the header of the picture that is cut short is whole
    assert (found["portrait"], found["square"], found["landscape"]) == (2, 4, 4)
    assert found["ratios"] == [0.5, 2.0]
    values = np.stack([item.data for item in read(photos, size=16)[0]]) / 127.5 - 1
    assert (told["mean"], told["std"]) == pytest.approx((values.mean(), values.std(ddof=1)), rel=1e-5)
    assert "labels" in err
    assert call("show photos --size 16 --json --quiet")[2] == ""


def test_show_draws_a_row_for_each_label(call: Call, photos: Path) -> None:
    assert call(f"show {photos} --out sheet.png")[0] == 0
    grey = np.asarray(Image.open("sheet.png").convert("L"), dtype=float)
    upper, lower = np.split(grey[: len(grey) // 2 * 2], 2)
    dark = [(part < 40).mean() for part in (upper, lower)]
    assert dark[0] > 0.6
    assert dark[1] < 0.1


def test_rows_are_whole_with_many_labels(call: Call) -> None:
    """Of 14 labels 12 are shown; the last, which is, has two samples, so every row has two: the sheet is narrow."""
    for label in range(14):
        for index in range(2 if label == 13 else 5):
            save(Path(f"many/{label:02d}/{index}.png"), random_bytes(8, 8) + np.uint8(index + 7 * label))
    assert call("show many --out sheet.png")[0] == 0
    with Image.open("sheet.png") as sheet:
        assert sheet.width < sheet.height / 5


def test_show_writes_a_page(call: Call, photos: Path) -> None:
    """With the same facts, and nothing that reaches for a network."""
    (photos / "<b>").mkdir()
    save(photos / "<b>" / "a.png", random_bytes(24, 24, 3))
    code, out, _ = call("show photos --out page.html")
    page = Path("page.html").read_text()
    assert (code, "page.html" in out) == (0, True)
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.replace("<b></b>", "")
    assert page.count("<img src=\"data:image/png") == 1
    assert not re.search(r"<script|https?://", page)
    assert "Not read: 3" in page


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        (("a", "b"), "each of the 2 labels"), (("a", "."), "refuses it as it is, since 2 samples have no label"),
        ((".",), "learns without labels"),
    ],
)  # fmt: skip
def test_show_says_what_training_would_do(call: Call, tmp_path: Path, places: tuple[str, ...], sentence: str) -> None:
    for place in places:
        for index in range(2):
            save(tmp_path / "x" / place / f"{index}.png", random_bytes(8, 8) + np.uint8(index))
    code, out, _ = call("show x")
    assert code == 0
    assert sentence in out


def test_pack_is_what_training_would_read(call: Call, photos: Path) -> None:
    """The same content, opened as it is; packed again without work; of the size that was asked for."""
    assert call("pack photos --out packed --size 16 --quiet")[0] == 0
    pack = Pack.open("packed")
    written = Path("packed/manifest.json").stat().st_mtime_ns
    whole = prepare(parse_config({"data": {"path": str(photos), "size": 16}}), Path("own"))
    again = prepare(parse_config({"data": {"path": "packed"}}), Path("other"))
    assert pack.content == whole.pack.content == again.pack.content
    assert pack.shape == (3, 16, 16)
    assert again.facts == whole.facts
    code, out, _ = call("pack photos --out packed --size 16 --json")
    assert (code, json.loads(out)["samples"]) == (0, 9)
    assert Path("packed/manifest.json").stat().st_mtime_ns == written


REFUSED = [
    ("show nowhere", "There is no 'nowhere'"), ("show photos --out x.gif", "no such format as '.gif'"),
    ("show photos --size 0", "data.size: expected"), ("pack photos", "Missing option '--out'"),
    ("pack photos --out photos/p", "inside the data"), ("pack packed --out q", "is a pack already"),
    ("pack nowhere --out packed", "There is no 'nowhere'"),
    ("fetch digitz", "did you mean 'digits'"), ("fetch digits --out photos", "is there already"),
    ("shwo photos", "No such command 'shwo'"), ("show empty", "holds no picture"),
]  # fmt: skip


def test_mistakes_end_in_one_message(call: Call, photos: Path) -> None:  # noqa: ARG001
    Path("empty").mkdir()
    call("pack photos --out packed")
    for line, message in REFUSED:
        code, out, err = call(line)
        assert (code, out, err.count("error: ")) == (2, "", 1), line
        assert message in err, line
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "packed", "photos"]


def test_digits_are_scikit_learns(call: Call) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    assert call("fetch digits --quiet")[0] == 0
    known = datasets.load_digits()
    items, rejections, _ = read(Path("digits"))
    assert rejections == []
    by_number = {int(Path(item.source).stem): item for item in items}
    assert [by_number[i].label for i in range(len(known.target))] == [str(digit) for digit in known.target]
    pixels = np.stack([by_number[i].data[0] for i in range(len(known.target))])
    np.testing.assert_array_equal(np.rint(pixels * (16 / 255)), known.images)
    about = Path("digits/README.md").read_text()
    assert "Alpaydin" in about
    assert "creativecommons.org/licenses/by/4.0" in about


def test_the_part_to_train_on_is_told(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set with a held-out part is not trained on as a whole."""
    monkeypatch.setattr(photographs, "WALLPAPERS", ())
    monkeypatch.setattr(photographs, "PACKAGES", ())
    code, out, _ = call("fetch photographs")
    assert code == 0
    assert "pellucid train photographs/train --out" in out
    assert "photographs/README.md" in out


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Any, Any]:
    """Six pictures in the place of Fashion-MNIST, not installed and on no hub."""
    pixels, labels = random_bytes(6, 28, 28), np.arange(6, dtype=np.uint8)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    hashes = tuple(sha256(values.tobytes()).hexdigest() for values in (pixels, labels))
    monkeypatch.setattr(fashion_mnist, "HASHES", hashes)
    for name in ("datasets", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    return pixels, labels


def hub(monkeypatch: pytest.MonkeyPatch, load: Callable[..., Any]) -> None:
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))
    api = SimpleNamespace(dataset_info=lambda *_, **__: None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=lambda: api))


def test_fashion_is_the_same_from_both_places(
    call: Call, tiny: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, labels = tiny
    Path("debian").mkdir()
    idx(Path("debian") / fashion_mnist.IDX[0], pixels)
    idx(Path("debian") / fashion_mnist.IDX[1], labels)
    assert call("fetch fashion-mnist --out installed")[0] == 0
    (Path("debian") / fashion_mnist.IDX[1]).unlink()
    rows = [{"image": Image.fromarray(pixels[i]), "label": int(labels[i])} for i in range(6)]
    hub(monkeypatch, lambda *_, **__: rows)
    assert call("fetch fashion_mnist --out loaded")[0] == 0
    for folder in ("installed", "loaded"):
        items, rejections, _ = read(Path(folder))
        np.testing.assert_array_equal(np.stack([item.data[0] for item in items]), pixels)
        assert [item.label for item in items] == list(fashion_mnist.NAMES[:6])
        assert rejections == []
        assert "Copyright (c) 2017 Zalando SE" in Path(folder, "README.md").read_text()
    rows[3]["label"] = 9
    code, _, err = call("fetch fashion_mnist --out other")
    assert (code, "another hash" in err, Path("other").exists()) == (2, True, False)


@pytest.mark.parametrize("library", [False, True])
def test_without_a_network_there_is_one_message(
    call: Call, tiny: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, library: bool  # noqa: ARG001
) -> None:
    """It names Debian's package and its files, or the library that is missing; nothing is left behind."""
    if library:
        def load(*_: Any, **__: Any) -> Any:
            raise ConnectionError("Couldn't reach the hub\nand more")

        hub(monkeypatch, load)
    code, out, err = call("fetch fashion-mnist")
    assert (code, out, err.count("error: ")) == (2, "", 1)
    assert ("Couldn't reach the hub)" if library else "pip install 'pellucid[data]'") in err
    assert "dataset-fashion-mnist" in err
    assert "train-images-idx3-ubyte.gz" in err
    assert list(Path().iterdir()) == []


def test_the_pinned_hashes_are_of_the_published_files() -> None:
    """Where Debian's package is installed; the 10,000 pictures of data/ have others."""
    files = [fashion_mnist.DEBIAN / name for name in fashion_mnist.IDX]
    if not all(file.is_file() for file in files):
        pytest.skip("dataset-fashion-mnist is not installed")
    pairs = zip(files, fashion_mnist.HEADERS, strict=True)
    found = tuple(sha256(gzip.decompress(file.read_bytes())[start:]).hexdigest() for file, start in pairs)
    assert found == fashion_mnist.HASHES


def test_turned_pictures_count_as_they_are_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "turned.jpg", random_bytes(10, 30, 3), exif=exif)
    save(tmp_path / "plain.png", random_bytes(20, 20))
    (tmp_path / "no.png").write_text("picture")
    found = shapes(sorted(tmp_path.iterdir()))
    assert (found["files"], found["pictures"], found["portrait"], found["square"]) == (3, 2, 1, 1)
    assert (found["least"], found["most"]) == ([10, 30], [20, 20])


def test_what_only_passes_for_a_picture_has_no_size(tmp_path: Path) -> None:
    """Pillow opens HDF5, as MINC scans are, as a picture without a single pixel."""
    (tmp_path / "a.mnc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    assert shapes([tmp_path / "a.mnc"]) == {"files": 1, "pictures": 0, "portrait": 0, "square": 0, "landscape": 0}


def test_data_that_no_picture_shows_is_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", random_bytes(4, 9, 9, 5))
    pack = prepare(parse_config({"data": {"path": str(tmp_path / "x.npy")}}), tmp_path / "pack").pack
    assert write_examples(pack, Pictures(), tmp_path / "sheet.png") is False
    assert not (tmp_path / "sheet.png").exists()
    assert duplicates(pack) == 0
