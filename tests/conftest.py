"""Settings of the whole suite, and its limit of ten minutes."""

import os
from time import monotonic

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle OpenMP threads sleep: small operations, shared machines

import pytest
import torch

STARTED, LIMIT = monotonic(), 600.0


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    """Every test starts with two threads, whatever ran before it."""
    torch.set_num_threads(2)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail when the suite took longer, both by the clock and in processor time: a busy machine alone is no fault of it."""
    times = os.times()
    worked = times.user + times.system + times.children_user + times.children_system
    if min(monotonic() - STARTED, worked) > LIMIT:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nThe suite took more than {LIMIT:.0f} s: {monotonic() - STARTED:.0f} s, of which {worked:.0f} s of work")
