"""What is promised to be the same, bit for bit or within rounding, on a small scale."""

from pathlib import Path

import pytest
import torch
from determinism import PROMISES, Cell, sampling, training

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of onnxscript
MLP = ("network.name=mlp", "network.width=32", "network.depth=2")


@pytest.fixture(autouse=True)
def _one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.set_num_threads(1)


def broken(cells: list[Cell]) -> list[Cell]:
    return [cell for cell in cells if not cell.kept]


def test_sampling() -> None:
    """Batches, threads, processes, engines and precisions, of an MLP."""
    cells = list(sampling("mlp", processes=["float32"]))
    assert not broken(cells)
    assert {cell.changed for cell in cells} == PROMISES["float32"].keys() - {"ranks"}


def test_training(pictures: Path, tmp_path: Path) -> None:
    """Parts of batches, threads, ranks, interruptions and precisions, for four steps."""
    cells = list(training(tmp_path, pictures, 4, MLP, processes=["float32"]))
    assert not broken(cells)
    assert {cell.changed for cell in cells} == PROMISES["float32"].keys() - {"engine", "process"}


def test_a_difference_of_one_bit_is_seen() -> None:
    """Where bits are promised; where rounding is, more than rounding is not kept."""
    for changed, promise in PROMISES["float32"].items():
        for difference, kept in ((0.0, True), (1e-16, promise > 0), (2 * promise or 1e-9, False), (float("inf"), False)):
            found = Cell(task="", changed=changed, how="", dtype="float32", difference=difference)
            assert found.kept is kept
