"""Whoever shows how a run goes."""

from typing import Protocol

from pellucid.model.model import Model
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState
from pellucid.training.steps import StepObserver


class Observer(StepObserver, Protocol):
    """Told of each stage of a run, then of its steps."""

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:
        """Before the first step of a stage, in which `state.loss.trained` is trained: the codec, if it learns, then the
        denoiser.
        """
