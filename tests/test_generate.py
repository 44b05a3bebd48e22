"""`pellucid generate`: pictures from words, what it says of them, what it refuses."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from pellucid.cli.app import _run
from pellucid.training.train import train
from picture_files import picture

SMALL = (
    "network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "text.features=16", "text.depth=1",
    "text.length=6", "training.evaluate=false", "sampling.steps=3", "training.precision=float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: `words` of captioned pictures in two styles, `plain` of pictures alone."""
    home = tmp_path_factory.mktemp("generate")
    for index in range(8):
        place = home / "data" / ("ink", "chalk")[index % 2] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(3 * index))
        place.with_suffix(".txt").write_text("a red hat" if index < 4 else "一只蓝猫", encoding="utf-8")
    train(home / "data", home / "words", samples=32, settings=SMALL)
    train(home / "data", home / "plain", samples=32, condition="none", settings=SMALL)
    return home


def pixels(path: str) -> NDArray[np.uint8]:
    with Pillow.open(path) as opened:
        return np.asarray(opened)


def call(words: str, home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `pellucid generate` with the model `words`, unless another is given."""
    asked = shlex.split(words)
    model = [] if "--model" in asked else ["--model", str(home / "words")]
    code = _run(["generate", *asked, *model])
    return code, *(re.sub(r"\x1b\[[\d;]*m", "", text) for text in capsys.readouterr())


def test_a_picture_from_words(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One by default, a sheet of each alternative, a folder; the same seed gives the same file."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call("'a red hat'", home, capsys)
    assert (code, "note" in out) == (0, False), err
    assert pixels("output.png").shape[:2] == (8, 8)
    first = Path("output.png").read_bytes()
    assert call("'a red hat' --seed 0 -o again.png", home, capsys)[0] == 0
    assert Path("again.png").read_bytes() == first
    options = "-n 3 --style ink --guidance 2 --negative 猫 --json -o sheet.png --journey j.gif"
    code, out, _ = call(f"'a {{red|blue}} hat' {options}", home, capsys)
    told = json.loads(out)
    assert (code, told["prompts"], told["nfe"]) == (0, ["a red hat"] * 3 + ["a blue hat"] * 3, 6)
    assert pixels("sheet.png").std() > 1
    assert Path("j.gif").is_file()
    assert call("猫 -n 2 -o folder", home, capsys)[0] == 0
    rows = [json.loads(line) for line in Path("folder/metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == [{"file_name": f"{index:06d}.png", "text": "猫"} for index in range(2)]


@pytest.mark.parametrize(("prompt", "note"), [
    ("'a green hat'", "Not known to the model, so guessed by their spelling: green"), ("zebra", "'zebra' has no word"),
    ("'{hat|zebra}'", "'zebra' has no word"), ("'hat hat hat hat hat hat hat'", "Only the first 6 of 7 words"),
    ("''", "An argument is empty"), ("'!?'", "'!\\?' has no word"),
])
def test_what_it_says_of_words(
    prompt: str, note: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(prompt, home, capsys)
    assert re.search(note, out + err)
    assert (code, Path("output.png").is_file()) == ((2, False) if "empty" in note else (0, True))


@pytest.mark.parametrize(("words", "message"), [
    (f"'{'x' * 10_000}'", "10,000 characters: expected at most 2,000"), ("'a\x07b'", r"control character U\+0007"),
    ("'a {b'", "brace without its partner"), ("'(hat:99)'", "out of range"), ("hat --style inc", "did you mean 'ink'"),
    ("hat --negative cat", "no effect without guidance"), ("hat --model nowhere", "There is no model 'nowhere'"),
    ("hat --out x.pgn", "did you mean '.png'"), ("hat --steps 0", "--steps"), ("hat -n 0", "-n"),
    ("hat --sampler huen", "did you mean 'heun'"), ("hat --guidance nan", "--guidance nan"),
    ("hat --model @plain", "Caption .* trained without captions"),
])
def test_what_it_refuses(
    words: str, message: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one message, with nothing written."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call(words.replace("@", f"{home}/"), home, capsys)
    assert (code, out, err.count("error: "), list(tmp_path.iterdir())) == (2, "", 1, []), err
    assert re.search(message, err)
