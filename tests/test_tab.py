"""What the Tab key offers: asked as the shells do, and once by bash itself."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pellucid.cli import main, tab
from pellucid.known import recipes as sets
from pellucid.samplers import samplers
from pellucid.training.config import apply_settings, recipes
from pellucid.training.tracker import TRACKERS
from test_cli import COMMANDS, PROGRAM
from test_help import HEAVY

Ask = Callable[[str], list[str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ask:
    """What bash is offered for the last word of a line, in a folder with files of several kinds."""
    (tmp_path / "runs").mkdir()
    for name in ("emotions.csv", "fashion.toml", ".hidden"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pellucid"])

    def offered(line: str) -> list[str]:
        words = line.split(" ")
        for name, value in zip(("_PELLUCID_COMPLETE", "COMP_WORDS", "COMP_CWORD"),
                               ("complete_bash", line, str(len(words) - 1)), strict=True):  # fmt: skip
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr()
        assert (ended.value.code, out.err) == (0, "")
        return out.out.split()

    return offered


@pytest.mark.parametrize(("line", "expected"), [
    ("", [*COMMANDS, "data"]), ("tr", ["train"]), ("data ", ["show", "pack", "fetch"]),
    ("train --re", ["--recipe", "--resume"]), ("train DATA --fro", ["--from"]),
    ("data fetch ", [*sets]), ("data fetch f", ["fashion_mnist", "fortunes"]), ("data fetch fashion-", ["fashion-mnist"]),
    ("train DATA --recipe ", [*recipes(), "emotions.csv", "fashion.toml", "runs/"]),
    ("train DATA --recipe fa", ["fashion-mnist", "fashion.toml"]), ("tune DATA --recipe run", []),
    ("sample em", ["emoji", "emotions.csv"]), ("sample runs", []), ("train DATA --from emoj", ["emoji"]),
    ("sample emoji --sampler ", [*samplers]), ("edit emoji --sampler ddi", ["ddim"]),
    ("sample emoji --grid ka", ["karras"]), ("sample emoji --against ", ["null", "weak"]),
    ("sample emoji --label ", ["all", "noto", "twemoji"]), ("sample emoji --label noto,t", ["noto,twemoji"]),
    ("generate cat --style ", ["noto", "twemoji"]), ("sample runs --label ", []), ("sample fashion.toml --label ", []),
    ("train DATA --track ", [*TRACKERS]), ("train DATA --device c", ["cpu", "cuda"]),
    ("train DATA --condition l", ["label"]), ("compare DATA --methods gan,va", ["gan,vae", "gan,variational"]),
    ("train DATA --set network.", ["network.name=unet", "network.name=transformer", "network.name=mlp"]),
    ("train DATA --set optimiser.name=adamw --set training.ev", ["training.evaluate=true"]), ("sample emoji --set ", []),
    ("export emoji --format ", ["onnx", "diffusers"]), ("evaluate emoji --features fa", ["fashion"]),
    ("train ", []), ("sample emoji --out ", []), ("sample emoji --seed -1 --dev", ["--device"]),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_what_is_offered(line: str, expected: list[str], ask: Ask) -> None:
    """Commands, options, values; nothing where a file is asked for, which is what has the shell look for files."""
    assert ask(f"pellucid {line}") == expected


def test_every_setting_that_is_offered_is_one() -> None:
    """A run's configuration takes each as it stands."""
    from pellucid.training.config import RunConfig

    offered = list(tab._settings())
    assert len(offered) > 60
    for setting in offered:
        key, _, value = setting.partition("=")
        found: object = apply_settings(RunConfig(), [setting])
        for part in key.split("."):
            found = found[part] if isinstance(found, dict) else getattr(found, part)
        assert str(found).lower() == value


@pytest.mark.parametrize(("shell", "told"), [
    ("zsh", "\"train\":\"Train a model on your data.\""), ("fish", "train\tTrain a model on your data."),
    ("powershell", "train:::Train a model on your data."), ("pwsh", "train:::Train a model on your data."),
])  # fmt: skip
def test_other_shells(
    shell: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They show what each command is for."""
    monkeypatch.setattr(sys, "argv", ["pellucid"])
    monkeypatch.setenv("_PELLUCID_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "pellucid tra")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_WORD_TO_COMPLETE", "tra")
    with pytest.raises(SystemExit):
        main()
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("line", ["sample emoji --label n", "train DATA --set netw", "tune DATA --recipe v"])
def test_nothing_slow_is_imported(line: str) -> None:
    line = f"pellucid {line}"
    asked = {"_PELLUCID_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    ended = subprocess.run(
        [*PROGRAM[:2], HEAVY + PROGRAM[2]], capture_output=True, text=True, check=True, env={**os.environ, **asked}
    )
    assert ended.stdout
    assert ended.stderr == "set()\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_itself(tmp_path: Path) -> None:
    """`--install-completion` writes it into a home, and from there bash completes by it."""
    program = tmp_path / "bin" / "pellucid"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec '{PROGRAM[0]}' {PROGRAM[1]} '{PROGRAM[2]}' \"$@\"\n")
    program.chmod(0o755)
    script = """
    pellucid --install-completion >&2; source ~/.bashrc; complete -p pellucid
    COMP_WORDS=(pellucid sample emoji --sampler he) COMP_CWORD=4
    _pellucid_completion pellucid; echo "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    ended = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "PATH": path},
    )  # fmt: skip
    assert ended.stdout.splitlines() == ["complete -o default -F _pellucid_completion pellucid", "heun"], ended.stderr
