"""One process at a time in a run's folder: the second is refused and told who the first is; a killed one leaves none."""

import errno
import fcntl
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pellucid.core.errors import UserError
from pellucid.core.lock import NAME, locked

HOLD = "import sys; from pathlib import Path; from pellucid.core.lock import locked\nwith locked(Path(sys.argv[1])):\n" \
       "    print('held', flush=True); sys.stdin.read()"  # fmt: skip


@pytest.fixture
def holder(tmp_path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
