"""What every metric returns: no figure without its uncertainty, its floor and its N."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Result:
    """A figure, as it is logged (`dataclasses.asdict`) and shown.

    Arguments:
        value: the figure.
        low, high: ends of its confidence interval, 95% unless the metric was told otherwise.
        floor: the same figure for real data, what a perfect model would get; None where it is not known.
        n: how many generated samples it was measured on.
    """

    value: float
    low: float
    high: float
    floor: float | None
    n: int
