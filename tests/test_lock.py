"""One process at a time in a run's folder: the second is refused and told who the first is; a killed one leaves none."""

import errno
import fcntl
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid.training.train as training
from pellucid.core.errors import UserError
from pellucid.core.lock import NAME, keep_locked, locked
from pellucid.training.train import train

HOLD = "import sys; from pathlib import Path; from pellucid.core.lock import locked\nwith locked(Path(sys.argv[1])):\n" \
       "    print('held', flush=True); sys.stdin.read()"  # fmt: skip


@pytest.fixture
def holder(tmp_path: Path) -> "subprocess.Popen[str]":
    return hold(tmp_path / "run")


def hold(folder: Path) -> "subprocess.Popen[str]":
    """A process that has locked it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_the_first_is(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    said = rf"Another process is at work in '.*run' \(process {holder.pid} on \S+, since [-\d]+ [:\d]+\)"
    with pytest.raises(UserError, match=said), locked(tmp_path / "run"):
        pytest.fail("two at once")
    holder.communicate("")
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / NAME).is_file()
    assert not (tmp_path / "run").exists()


def test_a_killed_process_holds_nothing(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "kept").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kept"]


def test_a_folder_locked_here_may_be_locked_once_more(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        with locked(tmp_path / "run"):
            pass
        assert (tmp_path / "run" / NAME).is_file()
    assert not (tmp_path / "run").exists()


def test_a_folder_that_was_moved_is_locked_anew(tmp_path: Path) -> None:
    """Where nobody came meanwhile: the second would otherwise work in the first one's folder."""
    with locked(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "away")
        keep_locked()
        with (tmp_path / "run" / NAME).open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_who_came_into_the_place_of_a_moved_folder_keeps_it(tmp_path: Path) -> None:
    """The first is told before it writes there, and does not take the lock of the second with it."""
    with locked(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "away")
        other = hold(tmp_path / "run")
        with pytest.raises(UserError, match=rf"Another process is at work in '.*run' \(process {other.pid}"):
            keep_locked()
    assert (tmp_path / "run" / NAME).is_file()
    other.communicate("")
    assert not (tmp_path / "run").exists()


def test_training_holds_the_folder_until_its_report_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = list[bool]()
    monkeypatch.setattr(training, "write_report", lambda out: held.append((out / NAME).is_file()))
    np.save(tmp_path / "x.npy", np.arange(128, dtype=np.uint8).reshape(8, 4, 4))
    train(tmp_path / "x.npy", tmp_path / "run", samples=8, settings=[
        "network.name=mlp", "network.width=8", "network.depth=1", "training.batch=8", "sampling.steps=1",
        "training.evaluate=false",
    ])  # fmt: skip
    assert held == [True]
    assert not (tmp_path / "run" / NAME).exists()


def test_training_is_refused_and_leaves_the_run_alone(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """By the command line, with exit code 2 and no traceback."""
    words = ["train", "data/fashion-mnist", "--out", str(tmp_path / "run"), "--samples", "32"]
    ended = subprocess.run([sys.executable, "-m", "pellucid", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert re.search(rf"error: Another process is at work in .*process\s+{holder.pid}", ended.stderr)
    assert "Traceback" not in ended.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == [NAME]
    holder.communicate("")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_systems_without_locks_keep_nobody_out(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training goes on there as if alone; other failures are told."""

    def lacking(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", lacking)
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "kept").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kept"]
    number = errno.EIO
    with pytest.raises(UserError, match="no locks"), locked(tmp_path / "run"):
        pytest.fail("an input/output error")


def test_a_file_in_the_place_and_a_folder_without_permission(tmp_path: Path) -> None:
    """What stands in the way is for others to tell; what cannot be written is told here."""
    (tmp_path / "file").touch()
    with locked(tmp_path / "file"):
        pass
    with pytest.raises(UserError, match="Cannot write '/proc/none'"), locked(Path("/proc/none")):
        pytest.fail("a folder in /proc")
