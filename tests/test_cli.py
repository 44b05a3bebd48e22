"""The command line: help, refusals in one message with exit code 2, results, progress, interruptions, odd surroundings."""

import errno
import io
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from safetensors import SafetensorError

from pellucid.cli import main
from pellucid.cli.console import TrainingDisplay, console, duration
from pellucid.core.errors import ConfigError
from pellucid.model.model import Model
from pellucid.training.train import train

COMMANDS = (
    "train", "sample", "generate", "edit", "continue", "impute", "speedup", "evaluate", "compare", "tune", "likelihood",
    "export", "serve", "doctor",
)  # fmt: skip
SETTINGS = ("network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "sampling.steps=2")
SET = " ".join(f"--set {setting}" for setting in SETTINGS)
QUICK = f"--samples 32 {SET}"
PROGRAM = (sys.executable, "-c", "from pellucid.cli import main; main()")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, str]:
        """The result for people, by name."""
        return {line[:10].strip(): line[10:] for line in self.out.splitlines()}


Call = Callable[[str], Ended]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of several kinds, and the runs `labelled` and `plain`: for all tests to read and none to change."""
    home, rng = tmp_path_factory.mktemp("cli"), np.random.default_rng(0)
    pictures = rng.integers(0, 256, (48, 8, 8), dtype=np.uint8)
    np.savez(home / "labelled.npz", images=pictures, labels=np.array(["猫", "dog two", "a,b"])[np.arange(48) % 3])
    arrays = {
        "tiny": pictures, "one": pictures[:1], "wide": pictures[:, :, :6], "deep": np.stack([pictures] * 5, 3),
        "nan": np.full((4, 8, 8), np.nan), "same": np.zeros((4, 8, 8), np.uint8), "words": np.array(["a", "b"]),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(home / f"{name}.npy", array)
    for name in ("empty", "texts", "odd", "broken", "mixed"):
        (home / name).mkdir()
    (home / "cut.npy").write_bytes((home / "tiny.npy").read_bytes()[:1000])
    (home / "texts" / "a.txt").write_text("hello")
    (home / "odd" / "a.xyz").write_text("hello")
    (home / "bad.toml").write_text("a = [")
    for path in (home / folder / name for folder in ("broken", "mixed") for name in ("[red]x[bold].png", "\x1b[31m.png")):
        path.write_bytes(b"no picture")
    for index in range(12):
        Image.fromarray(pictures[index]).save(home / "mixed" / f"{index}.png")
    train(home / "labelled.npz", home / "labelled", samples=32, settings=SETTINGS)
    train(home / "tiny.npy", home / "plain", samples=32, settings=SETTINGS)
    return home


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, home: Path) -> Call:
    """Runs a command line in an empty folder; `@` at the beginning of a word stands for `home`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(line: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pellucid", *(re.sub("^@", f"{home}/", word) for word in shlex.split(line))])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        return Ended(int(caught.value.code or 0), *(re.sub(r"\x1b\[[\d;]*m", "", told) for told in capsys.readouterr()))

    return run


def assert_refused(ended: Ended, message: str) -> None:
    """Exit code 2 and one message on stderr, nothing on stdout."""
    assert ended.code == 2, ended
    assert re.search(message, ended.err), ended.err
    assert (ended.err.count("error: "), ended.err.count("Traceback"), ended.out) == (1, 0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_common_options(name: str, call: Call) -> None:
    """--json, --seed, --device, --quiet; -h is --help; no example is broken by the width."""
    ended = call(f"{name} -h")
    assert ended.code == 0
    assert ended == call(f"{name} --help")
    assert all(option in ended.out for option in ("--json", "--seed", "--device", "--quiet"))
    examples = re.search(r"Examples:\s*\n((?:   pellucid .*\n)+)\s*\n", ended.out)
    assert examples
    assert all(line.split()[1] == name for line in examples[1].splitlines())


WORDS = [
    ("trian", "No such command 'trian'.*'train'"), ("sample", "Missing argument 'model'"),
    ("train --sampels 3", r"No such option: --sampels: did you mean --samples\?\nSee pellucid train --help"),
    ("likelihood x", "Missing argument 'data'"), ("train a b", r"unexpected extra argument.*b"),
    ("train x --minutes abc", "'--minutes': expected a number, got 'abc'\nSee pellucid train --help"),
    ("sample x -n 0", "'-n': expected at least 1, got '0'"), ("sample x -n 1.5", "expected a whole number, got '1.5'"),
    ("sample x --steps", "--steps.* requires an argument"), ("sample x --steps 0", "expected at least 1, got '0'"),
    ("likelihood x y --method sde", "'sde' is not one of 'ode', 'elbo'"), ("likelihood x y -n 1", "at least 2, got '1'"),
    ("sample x --guidance-interval 1", "requires 2 arguments"), ("doctor --seconds nan", "expected .*got 'nan'"),
    ("sample x --seed -1", "--seed -1 is out of range"), ("doctor --seed 18446744073709551616", "is out of range"),
    ("train ''", "An argument is empty: is a variable of your shell"), ("sample x --label=", "'--label=' has no value"),
    ("train d\udcff", r"'d\\udcff' is no text in"), ("doctor --device gpu", "Unknown device 'gpu': did you mean 'cpu'"),
    ("doctor --device cpu:3", "expected one of auto, cpu"), ("doctor --device cuda:x", "a number after the colon"),
]  # fmt: skip
RUNS = [
    ("", "No data: give the path"), ("--resume --out none", "There is no run in 'none' to go on with"),
    ("@tiny.npy", "How long"), ("@tiny.npy --samples 0", "training.samples: expected at least 1, got 0"),
    ("@tiny.npy --samples 3 --minutes 2", "minutes = 2 and samples = 3: give one of them"),
    ("@tiny.npy --minutes 0", "training.minutes: expected more than 0"), ("@tiny.npy --minutes -3", "more than 0, got -3"),
    ("@tiny.npy --minutes nan", "training.minutes: expected"), ("@tiny.npy --minutes inf", "expected a finite number"),
    ("@tiny.npy --size 0", "data.size: .* from 1 to"), ("@tiny.npy --size 100000", "from 1 to 4096"),
    ("@tiny.npy --samples 2 --out @bad.toml", "bad.toml' is a file"), ("@tiny.npy --device mps:7", "is not available"),
    ("@tiny.npy --samples 2 --out @bad.toml/x", "Cannot write.*bad.toml' is a file, not a folder"),
    ("@tiny.npy --samples 2 --out /dev/full/x", "'/dev/full' is a file"), (f"x --out {300 * 'n'}", "File name too long"),
    ("@tiny.npy --samples 2 --out @plain", "already holds a run: add --resume"),
    ("@mixed --samples 2 --out @mixed/run", "lies inside the data"), ("x --recipe none.toml", "'none.toml': No such file"),
    ("x --recipe fashion", "did you mean 'fashion-mnist'"), ("x --recipe @bad.toml", "is not valid TOML"),
]  # fmt: skip
DATA = [
    ("@tyny.npy", r"There is no '.*tyny\.npy'\. Did you mean '.*tiny\.npy'"), ("@empty", "no picture.*It is empty"),
    ("@odd", r"'a\.xyz': its name does not end like a picture's"), ("@broken", "not a picture, whatever its name says"),
    ("@cut.npy", "is cut short: its header promises 48"), ("@nan.npy", "NaN or Inf, first in picture 0"),
    ("@same.npy", "nothing to learn"), ("@words.npy", "expected pictures as"), ("@tiny.npy --condition label", "no labels"),
]  # fmt: skip
KEYS = [
    ("foo", "--set foo: expected key=value"), ("=3", "expected key=value"), ("network..x=3", "expected key=value"),
    ("foo.x=3", "Unknown section 'foo'"), ("training.bach=3", "'bach' of training: did you mean 'batch'"),
    ("training.batch=abc", "expected a whole number, got 'abc'"), ("training.batch=1.5", "whole number, got 1.5"),
    ("training.micro_batch=5", "^error: training.micro_batch = 5 must divide training.batch = 16\n$"),
    ("training.ema=0.1", r"a list such as \[1, 2\], got 0.1"), ("network=mlp", "expected a setting in it, network.name=mlp"),
    ("network.name=ML", "'ML': did you mean 'mlp'"), ("network.wdith=3", "of network.mlp: did you mean 'width'"),
    ("optimiser.learning_rate=-1", "out of range|at least|more than"), ("optimiser.learning_rate=nan", "learning_rate"),
    ("loss.times.name=nope", "Unknown times 'nope'"), ("loss.weighting.x=3", "weighting.none: there are none"),
    ("schedule.name=emd", "did you mean 'edm'"), ("schedule.shift=abc", "shift: expected a number, got 'abc'"),
    ("sampling.sampler=ddmi", "did you mean 'ddim'"), ("sampling.step=3", "'step' of sampling: did you mean 'steps'"),
    ("sampling.steps=abc", "expected a whole number"), ("sampling.guidance_interval=3", "= 3: expected two values"),
]  # fmt: skip
SAMPLES = [
    ("@labeled", "There is no model '.*labeled'.*Did you mean '.*labelled"), ("@empty", r"holds no model\.safetensors"),
    ("@texts/a.txt", "not a readable safetensors file"), ("@tiny.npy", "not a readable safetensors file"),
    ("@plain/checkpoints/000000000032.safetensors", "is a checkpoint, not a model"), ("@plain --grid table", "a table"),
    ("@plain --label 猫", "was trained without labels"), ("@plain --guidance 2", "something to be guided"),
    ("@labelled --label cat", "Unknown label 'cat': known: "), ("@labelled --label 猫,", "Unknown label ''"),
    ("@labelled --label 'DOG TWO'", "did you mean 'dog two'"), ("@plain --sampler consistency", "needs a sample of"),
    ("@plain --sampler HUEN", "mean 'heun'"), ("@plain --grid karas", "mean 'karras'"),
    ("@labelled --label all --guidance nan", "--guidance nan"), ("@plain --set foo", "expected sampler.KEY=VALUE"),
    ("@labelled --label all --guidance 1e300", "expected a number within"), ("@plain --set net.x=1", "sampler.KEY=VALUE"),
    ("@labelled --guidance 2 --guidance-interval 3 1", "the lower first"), ("@plain --device cuda:9", "not available here"),
    ("@labelled --guidance-interval 1 3", "without guidance"), ("@plain --journey x", "no such format"),
    ("@plain --sampler ddim --set sampler.eta=7", r"eta = 7 is out of range: allowed is \[0, 1\]"),
    ("@plain --sampler ddim --set sampler.etta=1", "did you mean 'eta'"), ("@plain --out x.pgn", r"did you mean '\.png'"),
    ("@plain --grid karras --set grid.rho=-1", "rho = -1 is out of range"), ("@plain --out x.xyz", r"format as '\.xyz'"),
    ("@plain --out @bad.toml/x", "is a file, not a folder"), ("@plain --out /dev/full", "is a file, not a folder"),
    (f"@plain --out {300 * 'n'}.png", "File name too long"), ("@plain --journey x.mp4", r"'\.mp4': known: \.gif"),
]  # fmt: skip
LIKELIHOODS = [
    ("@plain @one.npy", "holds 1 samples.*expected at least 2"), ("@plain @empty", "It is empty"),
    ("@plain @texts", "holds no picture"), ("@plain @none", "There is no"), ("@tiny.npy @plain", "not a readable"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), [
    *WORDS, *((f"train {line}", message) for line, message in RUNS),
    *((f"train {line} {QUICK}", message) for line, message in DATA),
    *((f"train @tiny.npy {QUICK} --set {line}", message) for line, message in KEYS),
    *((f"sample -n 2 {line}", message) for line, message in SAMPLES),
    *((f"likelihood --steps 2 {line}", message) for line, message in LIKELIHOODS),
], ids=lambda value: value[:60].replace("@", ""))  # fmt: skip
def test_bad_input_is_refused(line: str, message: str, call: Call) -> None:
    """What came, what was expected, the nearest valid name; no picture is written, no run bars the way to the next try."""
    assert_refused(call(line), message)
    assert not [path for path in Path().rglob("*") if path.name == "config.toml" or path.suffix in (".png", ".gif")]


@pytest.mark.parametrize(("words", "file", "content", "message"), [
    ("--size 4", "", "", "data.size is None, not 4"), ("--samples 64", "", "", "training.samples is 32, not 64"),
    ("--set network.width=8", "", "", "network.width is 16, not 8"), ("--recipe @bad.toml", "", "", "is not valid TOML"),
    ("", "config.toml", "x[", "config.toml' is not valid TOML"), ("", "config.toml", "", "does not say where the data is"),
    ("", "checkpoints/000000000032.safetensors", "half", "is damaged: .*No checkpoint is whole: delete"),
])  # fmt: skip
def test_what_cannot_be_resumed_is_kept(words: str, file: str, content: str, message: str, call: Call, home: Path) -> None:
    """Other settings are named, damaged files too; nothing of the run is touched."""
    shutil.copytree(home / "plain", "run")
    if file:
        Path("run", file).write_text(content)
    shutil.copytree("run", "before")
    assert_refused(call(f"train --resume --out run {words}"), message)
    assert not subprocess.run(["diff", "-r", "run", "before"], check=False).returncode


def test_a_run_in_a_folder_of_any_name(call: Call, home: Path) -> None:
    """Chinese, spaces, quotes, brackets, ends of lines: trained, told, resumed; what was skipped is told harmlessly."""
    data, out = "照 片\n'\"[red]\\n", "跑 [bold]步"
    shutil.copytree(home / "mixed", data)
    ended = call(f"train {shlex.quote(data)} --out '{out}' {QUICK}")
    for told in ("12 samples of 1 x 8 x 8", "2 files that could not", "[red]x[bold].png: not", "\\x1b[31m.png: not"):
        assert told in ended.err
    assert ended.told["done"].startswith("32 samples")
    assert ended.told["more"] == f"pellucid sample '{out}' -n 16 --out samples.png"
    assert all(Path(ended.told[name]).is_file() for name in ("model", "samples", "journey", "report"))
    Path(ended.told["model"]).unlink()
    assert call(f"train --resume --out '{out}'").told["model"] == ended.told["model"]


def test_channels_that_are_no_colours(call: Call) -> None:
    """Arrays of five channels train, and come back as arrays."""
    assert call(f"train @deep.npy --out run {QUICK}").told["samples"].endswith("samples.npy")
    assert_refused(call("sample run"), r"5 channels are no colours: expected --out NAME\.npy")
    assert call("sample run -n 2 --out x.npy").code == 0
    assert np.load("x.npy").shape == (2, 5, 8, 8)


def test_weights_that_are_no_numbers_give_no_figures(call: Call, home: Path) -> None:
    """Neither black pictures nor a NaN that JSON does not know."""
    model = Model.load(home / "plain")
    for parameter in model.denoiser.parameters():
        parameter.fill_(float("nan"))
    model.save("nan.safetensors")
    assert_refused(call("sample nan.safetensors"), "The samples are not numbers")
    assert_refused(call("likelihood nan.safetensors @tiny.npy --steps 2 --json"), "is not a number")


def test_what_sampling_writes(call: Call) -> None:
    """One picture, a sheet, an array, a folder with its labels; a label may hold a comma; settings reach the parts."""
    ended = call("sample @labelled -n 1 --journey j.gif --seed 7")
    assert re.fullmatch(r"1 sample in [\d.]+ s, [\d.]+/s, 2 network calls each, seed 7", ended.told["done"])
    assert (ended.told["samples"], ended.told["journey"], ended.err) == ("samples.png", "j.gif", "")
    assert call("sample @labelled -n 3 --label a,b --out 新/v1.2").told["samples"] == "新/v1.2/ (4 files)"
    assert Path("新/v1.2/metadata.jsonl").read_text().count('"a,b"') == 3
    parts = "--grid karras --set grid.rho=3 --set sampler.order=1 --label '猫,dog two'"
    found = json.loads(call(f"sample @labelled -n 3 {parts} --out x.npy --json --quiet").out)
    assert (found["labels"], found["files"]) == (["猫", "dog two", "猫"], ["x.npy"])


@pytest.mark.parametrize("line", [
    f"train @tiny.npy {QUICK}", "sample @plain -n 2 --journey j.png", "doctor --seconds 0.1 --seed 3",
    "likelihood @plain @wide.npy -n 2 --steps 2 --method elbo",
])  # fmt: skip
def test_results_go_to_stdout(line: str, call: Call) -> None:
    """Aligned lines for people; with --json one object, and the lines on stderr; with --quiet nothing else."""
    ended = {options: call(f"{line} {options}" + f" --out {options[-2:]}" * line.startswith("train"))
             for options in ("--device cpu", "--json", "--json -q", "--quiet")}  # fmt: skip
    assert [each.code for each in ended.values()] == [0] * 4
    lines, quiet = ended["--device cpu"].out.splitlines(), ended["--json -q"]
    assert len({re.match(r"\S+( \S+)*  +", line).end() for line in lines}) == 1  # type: ignore[union-attr]
    assert all(isinstance(json.loads(each.out), dict) and each.out.count("\n") == 1 for each in (ended["--json"], quiet))
    assert lines[0].split()[0] in ended["--json"].err
    assert quiet.err == ended["--quiet"].err == ""
    assert ended["--quiet"].out.split()[0] == lines[0].split()[0]


@pytest.mark.parametrize(("error", "code", "message"), [
    (RuntimeError("boom"), 1, "RuntimeError: boom\nThis is a fault in pellucid"), (MemoryError(), 2, "not enough memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2, "Try a smaller"),
    (OSError(errno.ENOSPC, "No space left on device", "x"), 2, "No space left on device: 'x'"),
    (ConfigError("red\x1b[31m"), 2, r"red\\x1b\[31m"), (KeyboardInterrupt(), 130, "^interrupted\n$"),
], ids=repr)  # fmt: skip
def test_how_errors_end(error: BaseException, code: int, message: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is 1, the user's 2, an interruption 130; none shows a traceback or leaves half a file."""
    monkeypatch.setattr(Model, "sample", Mock(side_effect=error))
    ended = call("sample @plain")
    assert (ended.code, ended.err.count("Traceback")) == (code, 0)
    assert re.search(message, ended.err)
    assert not list(Path().iterdir())


def test_interrupted_after_training(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """While pictures are drawn: the words that go on, fit for the shell; they do."""
    with monkeypatch.context() as patched:
        patched.setattr("pellucid.training.train._first_look", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        ended = call(f"train @tiny.npy --out 'a run' {QUICK}")
    assert (ended.code, ended.out) == (130, "")
    assert "pellucid train --out 'a run' --resume" in ended.err
    assert call("train --out 'a run' --resume").code == 0


def test_a_full_disk_is_told(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the system's words, as they come out of safetensors."""
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    monkeypatch.setattr("pellucid.model.files.save_file", Mock(side_effect=full))
    assert_refused(call(f"train @tiny.npy --quiet {QUICK}"), "Cannot write 'run/.*': No space left on device")


def test_places_are_tried_before_the_work(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """That writing is forbidden is found out before anything is sampled."""
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    monkeypatch.setattr(Model, "sample", None)
    Path("a.png").touch()
    assert_refused(call("sample @plain --out new/x.png"), r"Cannot write 'new/x.png': no permission to write in '\.'")
    assert_refused(call("sample @plain --out a.png"), "it is write-protected")


def test_stdout_of_any_kind(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows ASCII alone, nobody reads it, its disk is full, it is closed: the work is done, and told if it can be."""
    line, stream = "sample @labelled -n 2 --label 猫 --json", io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding="ascii"))
    assert call(line).code == 0
    assert json.loads(stream.getvalue())["labels"] == ["猫", "猫"]
    reader, writer = os.pipe()
    os.close(reader)
    for path, code in ((writer, 0), ("/dev/full", 2)):
        with open(path, "w", encoding="utf-8") as out:  # noqa: PTH123
            monkeypatch.setattr(sys, "stdout", out)
            assert call(line).code == code
    monkeypatch.setattr(sys, "stdout", None)
    assert call(line).code == 0


@pytest.mark.parametrize("kind", ["pipe", "full", "none"])
def test_training_needs_no_listener(kind: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stderr broken, full or closed, the model is trained all the same."""
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full" if kind == "full" else writer, "w", encoding="utf-8") as err:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", None if kind == "none" else err)
        assert call(f"train @tiny.npy {QUICK}").told["model"] == "run/model.safetensors"
        assert call("sample @none").code == 2


def test_plain_lines_where_there_is_no_terminal(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Share, samples, speed, loss, time left; no control characters."""
    with TrainingDisplay(console(False), every=0) as display:
        train(home / "tiny.npy", tmp_path / "run", samples=64, settings=SETTINGS, observer=display)
    lines = capsys.readouterr().err.splitlines()
    steps = [line for line in lines if re.fullmatch(r" *\d+% +[\d,]+ samples  \d+/s  loss \d\.\d{4}  .+", line)]
    assert [line.split()[:2] for line in steps] == [["25%", "16"], ["50%", "32"], ["75%", "48"], ["100%", "64"]]
    assert steps[-1].endswith("drawing and measuring")
    assert "".join(lines).isprintable()
    told = [duration(seconds) for seconds in (0.043, 1.44, 9.96, 59.6, 200, 7500)]
    assert told == ["0.04 s", "1.4 s", "10 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]


def test_a_bar_on_a_terminal_until_control_c(home: Path, tmp_path: Path) -> None:
    """One line of 80 columns, redrawn; Ctrl-C ends it with 130, everything saved, and how to go on."""
    words = ["train", str(home / "tiny.npy"), "--minutes", "5", "--out", str(tmp_path / "run"), *SET.split()]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *words], stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
    )
    os.close(terminal)
    seen, sent = b"", False
    while select.select([master], [], [], 60)[0]:
        try:
            seen += os.read(master, 65536)
        except OSError:  # its end
            break
        if not sent and seen.count(b" samples  ") > 5:
            sent = True
            process.send_signal(signal.SIGINT)
    os.close(master)
    assert process.wait(60) == 130
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", seen.decode())
    bars = [part for part in re.split(r"[\r\n]+", text) if part.startswith("training") and "loss" in part]
    assert bars
    assert all(len(bar) <= 80 and re.search(r"\d%  [\d,]+ samples  \d+/s  loss \d\.\d{4}  ", bar) for bar in bars)
    assert text.count("\n") < 12
    assert re.search(r"Stopped by SIGINT after [\d,]+ samples; everything is saved\. .* --out \S+ --resume", text)
    assert list((tmp_path / "run" / "checkpoints").iterdir())
