"""Settings of the whole suite."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle OpenMP threads sleep: small operations, shared machines

import pytest
import torch


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    """Every test starts with two threads, whatever ran before it."""
    torch.set_num_threads(2)
