"""Settings of the whole suite."""

import os
from pathlib import Path
from time import monotonic

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle OpenMP threads sleep: small operations, shared machines
os.environ["PELLUCID_LANG"] = "en"  # whatever the machine's is

import numpy as np
import pytest
import torch

STARTED, EXPECTED = monotonic(), 600.0


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    """Every test starts with two threads, whatever ran before it."""
    torch.set_num_threads(2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 pictures of 8 x 8 in three classes, as an array with its labels beside it."""
    folder = tmp_path_factory.mktemp("pictures")
    np.save(folder / "x.npy", np.random.default_rng(0).integers(0, 256, (96, 8, 8), dtype=np.uint8))
    np.save(folder / "y.npy", np.arange(96) % 3)
    return folder / "x.npy"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say when the suite took longer than it should. It does not fail: that may be the machine's doing."""
    if (took := monotonic() - STARTED) > EXPECTED:
        terminalreporter.write_line(f"{took:.0f} s: more than {EXPECTED:.0f}. The slowest are listed above.", yellow=True)
