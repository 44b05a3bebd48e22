"""Files and settings on the way in and out: nothing old is lost before the new is there, nothing given is dropped."""

import json
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pellucid.core.errors import ConfigError
from pellucid.core.files import atomic_folder, clear_temporaries
from pellucid.data.pack import is_pack
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.journal import Journal
from pellucid.training.loop import run
from pellucid.training.prepare import prepare


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new folder cannot take its place, or the process is interrupted there, the old one is back."""
    place = tmp_path / "data"
    place.mkdir()
    (place / "old").write_text("kept")
    plain = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if (self / "new").exists():
            raise KeyboardInterrupt
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt), atomic_folder(place) as temporary:
        (temporary / "new").write_text("lost")
    assert (place / "old").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    """Nothing of the old is left in it or beside it."""
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "data") as temporary:
            (temporary / content).write_text(content)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_only_temporaries_of_this_folder_are_cleared(tmp_path: Path) -> None:
    """Not the user's own files whose names begin alike, and nothing below."""
    (tmp_path / "below").mkdir()
    left = [tmp_path / ".tmp-0123456789ab.npy", tmp_path / ".tmp-mine", tmp_path / "below" / ".tmp-0123456789ab"]
    for path in left:
        path.write_text("")
    clear_temporaries(tmp_path)
    assert [path.exists() for path in left] == [False, True, True]


@pytest.mark.parametrize("order", [1, -1])
def test_settings_hold_in_any_order(order: int) -> None:
    """A part's name given after its settings does not drop them."""
    given = ["network.size=small", "network.name=transformer"][::order]
    assert apply_settings(RunConfig(), given).network == {"name": "transformer", "size": "small"}
    assert apply_settings(RunConfig(), ["network.name='unet'"]).network == RunConfig().network


def test_a_manifest_of_another_program_is_no_pack(tmp_path: Path) -> None:
    """A folder of pictures may hold one; a pack's says that it is one, and its shape is not changed by settings."""
    (tmp_path / "manifest.json").write_text(json.dumps({"short_name": "web"}))
    assert not is_pack(tmp_path)
    (tmp_path / "manifest.json").write_text("[")
    assert not is_pack(tmp_path)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8))
    made = prepare(apply_settings(RunConfig(), [f"data.path='{tmp_path / 'x.npy'}'"]), tmp_path / "pack").pack
    assert is_pack(made.folder)
    settings = [f"data.path='{made.folder}'", "data.size=4"]
    with pytest.raises(ConfigError, match=r"shape \(1, 8, 8\), which data\.size = 4"):
        prepare(apply_settings(RunConfig(), settings), tmp_path / "other")


def test_tensorboard_keeps_the_point_that_is_resumed_from(tmp_path: Path) -> None:
    """Like the log: entries up to the samples seen stay, later ones are dropped."""
    for seen in (0, 20):
        journal = Journal(tmp_path, seen)
        for samples in (10, 20, 30):
            if samples > seen:
                journal.write("train", samples, loss=float(samples))
        journal.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == [10, 20, 30]
    lines = [json.loads(line)["samples"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [10, 20, 30]


@pytest.mark.parametrize(("typed", "told"), [
    (["/usr/bin/pellucid", "train", "my photos"], "pellucid train 'my photos'"),
    (["examples/demo.py", "--minutes", "3"], "python examples/demo.py --minutes 3"),
])
def test_the_report_repeats_what_was_typed(
    typed: list[str], told: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line, or the script that trained; never a command that nobody gave."""
    monkeypatch.setattr("sys.argv", typed)
    settings = ["network.name=mlp", "network.width=8", "training.batch=8", "training.samples=8", f"data.path='{pictures}'"]
    run(apply_settings(RunConfig(), settings), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["command"] == told
