"""How fast training goes."""

from dataclasses import dataclass
from math import exp


@dataclass
class Pace:
    """Samples per second, averaged over about the last `memory` seconds.

    The first step pays for memory, caches and thread pools, so it stands in only until there is a second one. Of one that
    takes very long, as when a laptop was shut meanwhile, a quarter of the memory counts, or twice what was expected of it.
    """

    memory: float = 20.0
    samples: float = 0.0
    seconds: float = 0.0
    steps: int = 0

    def tick(self, samples: int, seconds: float) -> float:
        """Count one step; returns the rate."""
        if self.steps > 1:
            seconds = min(seconds, max(self.memory / 4, 2 * samples / self.rate))
        keep = exp(-seconds / self.memory) if self.steps > 1 else 0.0
        self.samples = keep * self.samples + samples
        self.seconds = keep * self.seconds + seconds
        self.steps += 1
        return self.rate

    @property
    def rate(self) -> float:
        """Samples per second; 0 before the first step."""
        return self.samples / self.seconds if self.seconds else 0.0
