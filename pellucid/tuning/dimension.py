"""One setting that is tuned: what it may be, and when it is one at all."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pellucid.training.config import RunConfig, apply_settings
from pellucid.tuning.value import value_of

DIGITS = 3


class Dimension(BaseModel):
    """`values`, or a range from `low` to `high`: of whole numbers if both are, evenly in the logarithm if `log`.

    Arguments:
        key: of the setting, as `--set` takes it.
        when: settings, each with the values beside which this one is tuned.
        default: what it is where the configuration does not say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=3)
    when: dict[str, list[Any]] = {}
    default: Any = None
    values: list[Any] | None = None
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _says_what(self) -> "Dimension":
        ends = self.low is not None and self.high is not None
        if (self.values is not None) == ends or self.values == [] or (self.low is None) != (self.high is None):
            raise ValueError(f"{self.key}: expected values = [...], or low and high")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError(f"{self.key}: low = {self.low} is above high = {self.high}")
        if self.log and not (self.low or 0) > 0:
            raise ValueError(f"{self.key}: log = true takes low above 0, got {self.low}")
        return self

    def applies(self, config: RunConfig) -> bool:
        """Whether this is a setting of such a configuration."""
        return all(value_of(config, key) in values for key, values in self.when.items())

    def own(self, config: RunConfig) -> Any:
        """What the setting is in a configuration; None where that follows from others."""
        found = value_of(config, self.key)
        return self.default if found is None else found

    def around(self, config: RunConfig) -> Self:
        """The same, widened so that it holds what the configuration has."""
        own = self.own(config) if self.applies(config) else None
        if own is None:
            return self
        if self.values is not None:
            return self if own in self.values else self.model_copy(update={"values": [own, *self.values]})
        assert self.low is not None
        assert self.high is not None
        low, high = min(self.low, own), max(self.high, own)
        step = self.step if all((end - low) % self.step == 0 for end in (own, high)) else 1
        return self.model_copy(update={"low": low, "high": high, "step": step})

    def suggest(self, trial: Any) -> Any:
        """A value for a trial of Optuna's."""
        if self.values is not None:
            return json.loads(trial.suggest_categorical(self.key, [json.dumps(value) for value in self.values]))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, step=self.step, log=self.log)
        return self.restored(trial.suggest_float(self.key, self.low, self.high, log=self.log))

    def stored(self, value: Any) -> Any:
        """A value as Optuna keeps it."""
        return value if self.values is None else json.dumps(value)

    def restored(self, kept: Any) -> Any:
        """A value from what Optuna keeps; of a range as many digits as a person would give."""
        if self.values is not None:
            return json.loads(kept)
        return float(f"{kept:.{DIGITS}g}") if isinstance(kept, float) else kept


def configured(base: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """`base` with settings by their keys."""
    return apply_settings(base, as_flags(settings))


def as_flags(settings: Mapping[str, Any]) -> Sequence[str]:
    """Settings as `--set` takes them: what JSON writes of lists, words and numbers is TOML too."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
