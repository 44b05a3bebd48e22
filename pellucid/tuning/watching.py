"""A trial under way: measured at points of it, and stopped where it falls behind."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from pellucid.core.errors import DivergenceError
from pellucid.core.optional import optional
from pellucid.evaluation.held_out import HeldOut
from pellucid.model.model import Model
from pellucid.training.observer import Observer
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState

POINTS = 8
"""Equal parts of a trial, after each of which but the last it is measured; the last measure is of all that is held out."""
QUICK = 64
"""Samples that are measured on the way."""


@dataclass(eq=False)
class Watching:
    """The observer of a trial's run, which passes on to another what it is told.

    Arguments:
        trial: of Optuna's, to which the held-out loss is reported.
    """

    trial: Any
    held_out: HeldOut
    passed_on: Observer
    model: Model | None = None
    point: int = 1

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:
        self.model = model
        self.passed_on.begin(prepared, model, state)

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:
        """Raises TrialPruned of Optuna's, and DivergenceError where the held-out loss is not a number."""
        self.passed_on.step(state, loss, samples_per_second)
        model, progress = self.model, state.plan.progress(state.seen)
        assert model is not None
        if state.loss.trained is not model.denoiser or not self.point / POINTS <= progress < 1:
            return
        self.point = int(progress * POINTS)
        with state.as_averaged():
            self.report(float(self.held_out(model, self.held_out.pack.spread(QUICK)).mean()))
        self.point += 1

    def report(self, value: float) -> None:
        """Of the point at hand."""
        if not isfinite(value):
            raise DivergenceError(f"The held-out loss is {value} after {self.point / POINTS:.0%} of training")
        self.trial.report(value, self.point)
        if self.point < POINTS and not self.trial.user_attrs.get("default") and self.trial.should_prune():
            raise optional("optuna", "Tuning", "tune").TrialPruned()
