"""What scores of series have in common: windows that are looked at before, and an interval over seeds."""

from collections.abc import Sequence
from statistics import fmean, stdev

from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.metrics.result import Result

LEAST = 20
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""0.975 quantiles of Student's t for so many values; 1.96 beyond."""


def check_windows(real: Tensor, generated: Tensor) -> None:
    """Refuses windows that cannot be compared."""
    if real.ndim != 3 or real.shape[1:] != generated.shape[1:] or min(len(real), len(generated)) < LEAST:
        raise DataError(f"Real windows have shape {tuple(real.shape)}, generated ones {tuple(generated.shape)}; expected "
                        f"(N, C, L) and (M, C, L), {LEAST} or more of each")  # fmt: skip
    if not (bool(real.isfinite().all()) and bool(generated.isfinite().all())):
        raise DataError("The windows hold values that are missing or no numbers")


def over_seeds(values: Sequence[float], floor: float, n: int) -> Result:
    """The mean, with Student's 95% interval."""
    value = fmean(values)
    reach = STUDENT.get(len(values), 1.96) * stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return Result(value=value, low=max(0.0, value - reach), high=value + reach, floor=floor, n=n)
