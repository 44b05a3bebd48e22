"""Trials, one after the other, until there are as many as wanted by all workers together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from pellucid.core.errors import InterruptedRunError, PellucidError, UserError
from pellucid.core.random import Key
from pellucid.evaluation.held_out import HeldOut, unit_of
from pellucid.evaluation.wording import duration, figure
from pellucid.training.config import RunConfig
from pellucid.training.loop import run
from pellucid.training.train import Observer
from pellucid.tuning.dimension import as_flags, configured
from pellucid.tuning.space import Space
from pellucid.tuning.study import choose_sampler, let_go
from pellucid.tuning.tried import DEFAULT, FAILED, LOSSES, SEEN, Tried, counts
from pellucid.tuning.watching import POINTS, QUICK, Watching

LOOK = 2.0
"""Seconds between two looks at what other workers do."""


class _FailedError(Exception):
    """A trial that failed for a reason of its own, and counts."""


class _SurplusError(Exception):
    """A trial that another worker has begun at the same time, and does not count."""


@dataclass(eq=False, kw_only=True)
class Worker:
    """One of those that work at a study.

    Arguments:
        config: the default, of the packed data.
        out: for the runs of trials, which are removed when these have ended.
        trials: wanted in all.
        publish: writes down what has been found.
    """

    study: Any
    space: Space
    config: RunConfig
    held_out: HeldOut
    out: Path
    trials: int
    seed: int
    device: str
    observer: Observer
    publish: Callable[[], Tried]

    def run(self) -> None:
        """Raises InterruptedRunError on a signal, and the error of the default where the user is at fault."""
        self._tell_plan()
        waiting = False
        while True:
            let_go(self.study)
            all_trials = self.study.get_trials(deepcopy=False)
            ended, running = sum(map(counts, all_trials)), sum(map(_runs, all_trials))
            if ended >= self.trials:
                return
            if ended + running < self.trials:
                waiting = False
                self.study.optimize(
                    self._trial, n_trials=1, catch=(_FailedError, _SurplusError), callbacks=[self._ended]
                )
            else:
                if not waiting:
                    self.observer.tell("waiting", f"for {running} that other workers have begun")
                waiting = True
                sleep(LOOK)

    def _tell_plan(self) -> None:
        done, training = sum(map(counts, self.study.get_trials(deepcopy=False))), self.config.training
        each = f"{training.samples:,} samples" if training.minutes is None else duration(60 * training.minutes)
        left = max(0, self.trials - done)
        known = "" if training.minutes is None else f", up to {duration(60 * training.minutes * left)} for one worker"
        before = f", {done} of them done before" if done else ""
        self.observer.tell("plan", f"{self.trials} trials of {each}{before}{known}; those that fall behind end early")
        apart, unit = len(self.held_out.pack), unit_of(self.config.denoiser)
        self.observer.tell("held out", f"{apart:,} samples that no trial trains on; compared is their loss, {unit}")

    def _trial(self, trial: Any) -> float:
        """One trial, from its settings to its loss."""
        earlier = [each for each in self.study.get_trials(deepcopy=False) if each.number < trial.number]
        if sum(counts(each) or _runs(each) for each in earlier) >= self.trials:
            raise _SurplusError
        default = not any(_is_default(each) and (counts(each) or _runs(each)) for each in earlier)
        settings = self._settings(trial, default)
        told = f"trial {trial.number}"
        usual = self.space.defaults()
        differing = {key: value for key, value in settings.items() if value != usual.get(key)}
        self.observer.tell(told, "the default" if default else " ".join(as_flags(differing)))
        try:
            value = self._value(trial, settings)
        except InterruptedRunError:
            raise
        except (PellucidError, MemoryError, RuntimeError) as error:
            reason = str(error) or type(error).__name__
            if default and isinstance(error, UserError):
                raise
            trial.set_user_attr(FAILED, reason)
            self.observer.tell(told, f"failed: {reason.splitlines()[0]}")
            raise _FailedError from None
        return value

    def _ended(self, _study: Any, frozen: Any) -> None:
        """Write down what is known now, and say how the trial ended and how long the others will take."""
        if not counts(frozen):
            return
        tried, told = self.publish(), f"trial {frozen.number}"
        if frozen.state.name == "PRUNED":
            at = max(frozen.intermediate_values)
            last = figure(frozen.intermediate_values[at], 4)
            self.observer.tell(told, f"stopped after {at / POINTS:.0%}, with a held-out loss of {last}: behind the others")
        elif frozen.state.name == "COMPLETE":
            first = tried.best is not None and tried.best.number == frozen.number and len(tried.complete) > 1
            best = ", the least so far" if first else ""
            self.observer.tell(told, f"held-out loss {figure(frozen.value, 4)}{best}")
        done = len(tried.trials)
        if done < self.trials:
            left = fmean(each.seconds for each in tried.trials) * (self.trials - done)
            self.observer.tell("", f"{done} of {self.trials} done, about {duration(left)} left for one worker")

    def _settings(self, trial: Any, default: bool) -> dict[str, Any]:
        """What is tried, which the trial then holds; nothing is changed in the default."""
        seed = int(Key(self.seed, "proposals", trial.number).bits([0], 1)[0, 0] >> 32)
        choose_sampler(self.study, seed, self.space.stored_defaults() if default else None)
        if not default:
            return self.space.suggest(trial)
        trial.set_user_attr(DEFAULT, True)
        self.space.suggest_default(trial)
        return {}

    def _value(self, trial: Any, settings: dict[str, Any]) -> float:
        watching = Watching(trial, self.held_out, self.observer)
        with TemporaryDirectory(dir=self.out, prefix=f"trial-{trial.number}-") as folder:
            model = run(configured(self.config, settings), Path(folder) / "run", device=self.device, observer=watching)
        losses = self.held_out(model)
        trial.set_user_attr(LOSSES, [round(float(loss), 6) for loss in losses])
        trial.set_user_attr(SEEN, int(model.card["samples_seen"]))
        watching.point = POINTS
        watching.report(float(losses[self.held_out.pack.spread(QUICK)].mean()))
        return float(losses.mean())


def _runs(trial: Any) -> bool:
    return bool(trial.state.name == "RUNNING")


def _is_default(trial: Any) -> bool:
    return bool(trial.number == 0 or trial.user_attrs.get(DEFAULT))
