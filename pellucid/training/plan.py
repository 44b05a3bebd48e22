"""How long training will be, and how far along it is.

With a number of samples the end is known. With minutes it follows from the measured speed, and is planned again when the
speed has drifted. Progress, from 0 to 1, then runs on from where it was to the new end, so the learning rate never jumps
and always arrives at zero. The legs are saved with the run, and replayed when it resumes.
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Any, Self

MEASURE_SHARE, MEASURE_SECONDS = 0.05, 15.0
"""The speed is first measured over this share of the minutes, at most this long."""
REPLAN_SHARE, DRIFT = 0.15, 0.03
"""A new plan at most every this share of the minutes, when the end has moved by this share."""
LARGEST_STEP = 0.04
"""Most progress that a step may make: a plan that comes late goes a little over time rather than break off the curve."""


@dataclass
class Plan:
    """Legs (samples seen, progress there, samples at the end), and the time used.

    Arguments:
        batch: the end is a multiple of it.
        samples: fixed end, or None.
        minutes: time to train for, if `samples` is None.
    """

    batch: int
    samples: int | None = None
    minutes: float | None = None
    elapsed: float = 0.0
    legs: list[tuple[int, float, int]] = field(default_factory=list)
    planned_at: float = 0.0

    def __post_init__(self) -> None:
        if self.samples is not None and not self.legs:
            self.legs.append((0, 0.0, self._whole(self.samples)))

    @property
    def total(self) -> int | None:
        """Samples at the end; None while the speed is being measured."""
        return self.legs[-1][2] if self.legs else None

    def take(self, seconds: float) -> None:
        """Something else has had so much of the minutes, of which a fifth is left in any case."""
        if self.minutes is not None:
            self.minutes = max(0.2 * self.minutes, self.minutes - seconds / 60)

    def progress(self, seen: int) -> float:
        """From 0 at the start to 1 at the end."""
        for start, done, end in reversed(self.legs):
            if seen >= start:
                return 1.0 if seen >= end else done + (1 - done) * (seen - start) / (end - start)
        return 0.0

    def tick(self, seen: int, seconds: float, rate: float) -> bool:
        """Count `seconds` of work; plan the end anew from `rate` (samples per second) if it is time. True if it moved."""
        self.elapsed += seconds
        if self.minutes is None or self.samples is not None:
            return False
        budget = 60 * self.minutes
        if not self.legs:
            due = self.elapsed >= min(MEASURE_SHARE * budget, MEASURE_SECONDS)
        else:
            due = self.elapsed - self.planned_at >= REPLAN_SHARE * budget
        if not due or (self.legs and self.elapsed >= budget):  # when time is over, the little that is left is done
            return False
        end = self._whole(seen + max(0.0, budget - self.elapsed) * rate)
        self.planned_at = self.elapsed
        if self.total is not None and abs(end - self.total) <= DRIFT * self.total:
            return False
        done = self.progress(seen) if self.legs else min(1.0, self.elapsed / budget)
        least = ceil((1 - done) / LARGEST_STEP) * self.batch
        self.legs.append((seen, done, max(end, self._whole(seen + least))))
        return True

    def seconds_left(self, seen: int, rate: float) -> float | None:
        """Time to the end at this rate; None when it is not known."""
        return None if self.total is None or rate <= 0 else max(0.0, (self.total - seen) / rate)

    def _whole(self, samples: float) -> int:
        return -(-int(samples) // self.batch) * self.batch

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"elapsed": self.elapsed, "legs": self.legs, "planned_at": self.planned_at, "minutes": self.minutes}

    def restore(self, state: dict[str, Any]) -> Self:
        """From a checkpoint's state."""
        self.elapsed, self.planned_at = state["elapsed"], state["planned_at"]
        self.minutes = state.get("minutes", self.minutes)
        self.legs = [(int(a), float(b), int(c)) for a, b, c in state["legs"]]
        return self


def learning_rate_factor(seen: int, progress: float, *, warmup: int, decay: float) -> float:
    """Linear warm-up over `warmup` samples, constant, then linear to 0 over the last `decay` share of training."""
    rising = min(1.0, seen / warmup) if warmup else 1.0
    falling = min(1.0, (1 - progress) / decay) if decay else 1.0
    return rising * falling
