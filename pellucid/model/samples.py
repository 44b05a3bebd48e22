"""What sampling returns."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from pellucid.modalities.modality import Modality


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Generated data and how it came about.

    Attributes:
        data: (N, C, *space) in the modality's range, [-1, 1] for pictures, on the CPU.
        labels: the classes that were asked for, a name for each sample, or None.
        prompts: the words that were asked for, likewise.
        seed: of the whole call; sample i has the id i, whatever the batch.
        nfe: network calls per sample.
        seconds: time it took.
        journey: the first samples at successive steps, from noise to data, if asked for.
    """

    data: Tensor
    modality: Modality
    labels: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None
    seed: int
    nfe: int
    seconds: float
    journey: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.data)

    def save(self, path: Path | str) -> list[Path]:
        """Write to a folder, one file a sample, or to a file that shows all; returns the paths."""
        return self.modality.write(self.data, Path(path), labels=self.labels, captions=self.prompts)

    def save_journey(self, path: Path | str) -> None:
        """Write the journey as .gif, .webp or .png."""
        self.modality.journey(self.journey, Path(path))
