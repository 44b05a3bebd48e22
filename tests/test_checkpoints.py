"""What is kept of checkpoints, and signals that ask for one."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from torch.optim import Adam

from pellucid.training.plan import Plan
from pellucid.training.signals import stop_signals
from pellucid.training.state import TrainingState, checkpoints


def test_a_checkpoint_is_not_deleted_by_its_own_saving(tmp_path: Path) -> None:
    """Beside strange ones of more samples it is kept as well."""
    (tmp_path / "checkpoints").mkdir()
    for seen in (16, 32, 999_999_999_999):
        (tmp_path / "checkpoints" / f"{seen:012d}.safetensors").write_bytes(b"another's")
    loss: Any = nn.Module()
    loss.trained = nn.Linear(1, 1)
    state = TrainingState(loss=loss, optimiser=Adam(loss.parameters()), averages=[], plan=Plan(batch=1))
    for keep in (3, 2, 1):
        path = state.save(tmp_path / "checkpoints", keep, "mine")
        assert len(checkpoints(tmp_path / "checkpoints")) == keep
        assert path.is_file()


def test_signals_are_given_back() -> None:
    """The first one is only noted, a second Ctrl-C acts as it did before, and so does the first after training. What others
    send twice, while a checkpoint is written, is noted twice."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop == ["SIGINT"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop == ["SIGINT", "SIGTERM", "SIGTERM"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
