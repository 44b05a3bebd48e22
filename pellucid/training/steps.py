"""Steps of training, one after the other, with what belongs between them: the learning rate, log, checkpoints, signals."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import torch
from torch.nn.utils import clip_grad_norm_

from pellucid.core.errors import DivergenceError, InterruptedRunError, ModelError
from pellucid.core.lock import keep_locked
from pellucid.training.batch import Batch, BatchSource
from pellucid.training.config import TrainingConfig
from pellucid.training.diagnosis import diverged
from pellucid.training.journal import Journal
from pellucid.training.pace import Pace
from pellucid.training.plan import learning_rate_factor
from pellucid.training.ranks import ALONE, Ranks
from pellucid.training.sharding import own, whole
from pellucid.training.signals import stop_signals
from pellucid.training.standing import EVENT, Standing
from pellucid.training.state import TrainingState, checkpoints


class StepObserver(Protocol):
    """Whoever is told of each step."""

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:
        """After each step."""


@dataclass(eq=False)
class Steps:
    """`run()` trains from the state's samples to the plan's end.

    Attributes:
        config: with the precision settled: bfloat16 is where torch holds it safe, by autocast.
        checkpoints: their folder.
        identity: of the run, written into each checkpoint.
        standing: by which it is known whether training still learns.
        ranks: who trains together, of whom the first one writes.
    """

    config: TrainingConfig
    state: TrainingState
    batches: BatchSource
    checkpoints: Path
    identity: str
    journal: Journal
    observer: StepObserver | None = None
    standing: Standing | None = None
    pace: Pace = field(default_factory=Pace)
    ranks: Ranks = ALONE

    def __post_init__(self) -> None:
        self._parallel = self.ranks.parallel(self.state.loss)
        self._rates = [float(group["lr"]) for group in self.state.optimiser.param_groups]
        self._saved, self._saved_at = self.state.seen, monotonic()
        self._batch: Batch | None = None
        self._bf16 = self.config.precision == "bfloat16"

    def run(self) -> None:
        """Raises InterruptedRunError on a signal and DivergenceError on NaN or Inf."""
        state, plan = self.state, self.state.plan
        (seen,) = self.ranks.firsts(state.seen)
        if seen != state.seen:
            raise ModelError(f"Rank {self.ranks.rank} goes on from the checkpoint of {state.seen:,} samples, the first one "
                             f"from that of {seen:,.0f}: all have to see the same folder '{self.checkpoints}'")  # fmt: skip
        if plan.minutes is not None:  # of which the first rank alone knows what else has had a part
            (plan.minutes,) = self.ranks.firsts(plan.minutes)
        with stop_signals() as stop:
            now = monotonic()
            while plan.total is None or state.seen < plan.total:
                loss, norm = self.step()
                before, now = now, monotonic()
                rate = self.pace.tick(self.config.batch, now - before)
                plan.elapsed, took, rate, due = self.ranks.firsts(plan.elapsed, now - before, rate, self._due())
                if plan.tick(state.seen, took, rate):
                    self.journal.write(
                        "plan", state.seen, total=plan.total, minutes=plan.minutes, samples_per_second=rate
                    )
                if self.observer is not None:
                    self.observer.step(state, loss, rate)
                self._log(loss, norm, rate, last=plan.total is not None and state.seen >= plan.total)
                now += self._look()
                (stopped,) = self.ranks.sums(bool(stop))
                if stopped or due:
                    self.save()
                if stopped:
                    self.ranks.wait()  # the first one writes what all have said to be saved
                    who = stop[0] if stop else "a signal to another rank"
                    raise InterruptedRunError(
                        f"Stopped by {who} after {state.seen:,} samples; everything is saved. Go on with --resume"
                    )

    def _look(self) -> float:
        """Measure how training stands if it is time: the seconds that it took, which are no slower steps."""
        if self.standing is None:
            return 0.0
        began, found = monotonic(), self.standing.look(self.state)
        if found is None:
            return 0.0
        self.journal.write(EVENT, self.state.seen, **found)
        took = monotonic() - began
        self.state.plan.elapsed += took
        return took

    def save(self) -> None:
        """Write a checkpoint, unless a weight has gone bad since the loss was last seen."""
        (bad,) = self.ranks.sums(not all(own(p).isfinite().all() for p in self.state.loss.parameters()))
        if self._batch is not None and bad:
            raise self._diverged(self._batch, float("nan"))
        self._saved, self._saved_at = self.state.seen, monotonic()
        keep_locked()
        path = self.state.save(self.checkpoints, self.config.keep_checkpoints, self.identity, self.ranks)
        self.journal.write("checkpoint", self.state.seen, path=path.name)

    def step(self) -> tuple[float, float]:
        """Train on one batch: its mean loss and the norm of its gradient."""
        state = self.state
        factor = learning_rate_factor(
            state.seen, state.plan.progress(state.seen), warmup=self.config.warmup, decay=self.config.decay
        )
        for group, rate in zip(state.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        state.loss.progress = state.plan.progress(state.seen)
        self._batch = batch = self.batches(*self.ranks.share(state.seen, self.config.batch))
        loss, norm = self._gradient(batch)
        if not (abs(loss) < inf and norm < inf):
            raise self._diverged(batch, norm)
        state.optimiser.step()
        state.loss.stepped()
        state.seen += self.config.batch
        state.step += 1
        for average in state.averages:
            average.update(state.loss.trained.state_dict(), state.step)
        if self.config.weak and not state.weak and state.plan.progress(state.seen) >= self.config.weak:
            state.weak = {name: value.detach().clone() for name, value in state.widest().items()}
        return loss, norm

    def _gradient(self, batch: Batch) -> tuple[float, float]:
        """Accumulated over micro-batches and ranks, then clipped."""
        state, size, total = self.state, len(batch.ids), 0.0
        state.optimiser.zero_grad(set_to_none=True)
        parts = batch.split(self.config.micro_batch or size)
        for part in parts:
            with self.ranks.exchanging(), self.ranks.apart(self._parallel, part is parts[-1]):
                with self._precision():
                    loss = self._parallel(*part.arguments).weighted.sum() / size
                loss.backward()
            total += float(loss.detach())
        (total,) = self.ranks.sums(total / self.ranks.size)
        return total, float(whole(clip_grad_norm_(state.loss.parameters(), self.config.clip)))

    def _diverged(self, batch: Batch, norm: float) -> DivergenceError:
        saved = bool(checkpoints(self.checkpoints))
        now = float(self.state.optimiser.param_groups[0]["lr"])
        with self._precision():
            return diverged(self.state.loss, batch, self.state.seen, (now, self._rates[0]), norm, saved=saved)

    def _precision(self) -> AbstractContextManager[Any]:
        """Of forward passes."""
        return torch.autocast(self.batches.device.type, torch.bfloat16) if self._bf16 else nullcontext()

    def _log(self, loss: float, norm: float, rate: float, *, last: bool) -> None:
        """The mean loss of every so many samples, and of those at the end."""
        state = self.state
        state.losses.append(loss)
        if last or len(state.losses) * self.config.batch >= self.config.log_samples:
            values: dict[str, Any] = {
                "loss": sum(state.losses) / len(state.losses), "gradient_norm": norm,
                "learning_rate": state.optimiser.param_groups[0]["lr"], "samples_per_second": rate,
            }  # fmt: skip
            self.journal.write("train", state.seen, **values)
            state.losses = []

    def _due(self) -> bool:
        if self.config.checkpoint_samples:
            return self.state.seen - self._saved >= self.config.checkpoint_samples
        return monotonic() - self._saved_at >= 60 * self.config.checkpoint_minutes
