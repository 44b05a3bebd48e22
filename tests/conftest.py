"""Settings of the whole suite, and its limit of ten minutes."""

import os
from pathlib import Path
from time import monotonic

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle OpenMP threads sleep: small operations, shared machines

import numpy as np
import pytest
import torch

STARTED, LIMIT = monotonic(), 600.0


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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail when the suite took longer, both by the clock and in processor time: a busy machine alone is no fault of it."""
    times = os.times()
    worked = times.user + times.system + times.children_user + times.children_system
    if min(monotonic() - STARTED, worked) > LIMIT:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nThe suite took more than {LIMIT:.0f} s: {monotonic() - STARTED:.0f} s, of which {worked:.0f} s of work")
