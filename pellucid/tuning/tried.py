"""What has been tried: settings and losses of every trial, the best beside the default, and what mattered."""

from dataclasses import dataclass
from functools import cached_property
from math import log, sqrt
from statistics import fmean, stdev
from typing import Any, Self

from pellucid.core.optional import optional
from pellucid.evaluation.held_out import unit_of
from pellucid.evaluation.wording import figure
from pellucid.tuning.space import Space

DEFAULT, FAILED, LOSSES, SEEN = "default", "failed", "losses", "samples_seen"
"""What is kept of a trial in the study besides its settings and loss: LOSSES are those of single samples."""
LEAST = 4
"""Trials that must have come to their end before anything is said of what mattered."""
SURE = 1.96
"""Standard errors in a 95% interval."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One that counts.

    Attributes:
        state: complete, pruned or failed.
        settings: that were proposed, by key.
        loss: held out; the last that was measured where it was pruned, None where there is none.
        curve: losses of some of the samples after each of `watching.POINTS` equal parts that was measured, by its number.
        losses: of single samples, where it is complete.
        reason: why it failed.
    """

    number: int
    state: str
    default: bool
    settings: dict[str, Any]
    loss: float | None
    curve: dict[int, float]
    losses: tuple[float, ...]
    seconds: float
    samples_seen: int | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Tried:
    """All trials that count, by number.

    Attributes:
        defaults: of what is tuned, by key.
        interrupted: how many were, which do not count.
        importance: share of each setting in how losses differ, the largest first; empty where it cannot be told.
        length: of a trial, in words.
        unit: of the loss, likewise.
    """

    trials: tuple[Trial, ...]
    defaults: dict[str, Any]
    interrupted: int
    importance: dict[str, float]
    length: str
    unit: str

    @classmethod
    def of(cls, study: Any, space: Space, *, length: str) -> Self:
        """Everything in a study so far."""
        frozen = study.get_trials(deepcopy=False)
        return cls(
            trials=tuple(_trial(each, space) for each in frozen if counts(each)), defaults=space.defaults(),
            interrupted=sum(each.state.name == "FAIL" and not counts(each) for each in frozen),
            importance=_importance(study), length=length, unit=unit_of(space.base.denoiser),
        )  # fmt: skip

    @cached_property
    def complete(self) -> tuple[Trial, ...]:
        return tuple(each for each in self.trials if each.state == "complete")

    @property
    def best(self) -> Trial | None:
        """The least loss of all that came to their end."""
        return min(self.complete, key=lambda each: (each.loss, each.number), default=None)

    @property
    def default(self) -> Trial | None:
        """The trial of the default, if it came to its end."""
        return next((each for each in self.complete if each.default), None)

    @property
    def gain(self) -> tuple[float, float] | None:
        """By how much the best is below the default, and the standard error of that over the samples held out, which are the
        same for both; None where one of them is missing.
        """
        if self.best is None or self.default is None:
            return None
        away = [theirs - ours for theirs, ours in zip(self.default.losses, self.best.losses, strict=True)]
        return fmean(away), stdev(away) / sqrt(len(away))

    @property
    def verdict(self) -> str:
        """What came of it, in a sentence or two."""
        best, gain = self.best, self.gain
        if best is None:
            return "No trial has come to its end yet."
        found = f"Trial {best.number} has the least held-out loss, {figure(best.loss or 0, 4)}"
        if gain is None:
            return f"{found}. There is no default to compare it with: it has not come to its end."
        if best.default:
            return f"Nothing beat the default, whose held-out loss is {figure(best.loss or 0, 4)}."
        less, error = gain
        interval = f"{figure(less, 2)} ± {figure(SURE * error, 2)}"
        if less < SURE * error:
            return f"{found}, not told apart from the default's ({interval} less): nothing clearly beat the default."
        share = 100 * less / (less + (best.loss or 0))
        return f"{found}, {figure(share, 2)}% less than the default ({interval} less, a 95% interval)."

    @property
    def footing(self) -> str:
        """How many trials there were, and of which kind."""
        kinds = {name: sum(each.state == name for each in self.trials) for name in ("pruned", "failed")}
        words = {"pruned": "stopped early", "failed": "failed"}
        some = [f"{count} {words[name]}" for name, count in kinds.items() if count]
        some += [f"{self.interrupted} interrupted, not counted"] if self.interrupted else []
        count = len(self.trials)
        return f"{count} trial{'s' * (count != 1)} of {self.length}" + (f" ({', '.join(some)})" if some else "")


def counts(trial: Any) -> bool:
    """Whether a trial of Optuna's is one of those wanted: it ended, or failed for a reason of its own."""
    return bool(trial.state.name in ("COMPLETE", "PRUNED") or (trial.state.name == "FAIL" and FAILED in trial.user_attrs))


def _trial(frozen: Any, space: Space) -> Trial:
    state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}[frozen.state.name]
    curve, kept = dict(sorted(frozen.intermediate_values.items())), frozen.user_attrs
    loss = frozen.value if state == "complete" else next(reversed(curve.values()), None)
    return Trial(
        number=frozen.number, state=state, default=bool(kept.get(DEFAULT)), settings=space.restored(frozen.params),
        loss=loss, curve=curve, losses=tuple(kept.get(LOSSES, ())), seconds=frozen.duration.total_seconds(),
        samples_seen=kept.get(SEEN), reason=str(kept.get(FAILED, "")),
    )  # fmt: skip


def _importance(study: Any) -> dict[str, float]:
    """By functional ANOVA of log loss (Hutter et al. 2014), of settings that all trials have which came to their end.

    In made-up studies of 12 and of 24 trials in which the learning rate decides nearly alone it named that first in 12 of 12
    each; PED-ANOVA (Watanabe et al. 2023), which asks only who was among the best quarter, in 8 and in 10.
    """
    optuna = optional("optuna", "Tuning", "tune")
    ended = [each for each in study.get_trials(deepcopy=False) if each.state.name == "COMPLETE"]
    if len(ended) < LEAST:
        return {}
    try:
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0), target=lambda each: log(each.value)
        )
    except (RuntimeError, ValueError):  # all losses are one
        return {}
    return {key: float(share) for key, share in found.items()} if sum(found.values()) > 0 else {}
