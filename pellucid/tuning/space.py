"""What is tuned: a table of dimensions, read from TOML, in the order in which they are chosen."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from pellucid.core.config import explain
from pellucid.core.errors import ConfigError, nearest
from pellucid.training.config import RunConfig
from pellucid.tuning.dimension import Dimension, configured

OWN = Path(__file__).with_name("space.toml")


@dataclass(frozen=True, kw_only=True)
class Space:
    """Dimensions about a configuration, which is the default."""

    base: RunConfig
    dimensions: tuple[Dimension, ...]

    @classmethod
    def read(cls, base: RunConfig, file: Path | None = None, fixed: Iterable[str] = ()) -> Self:
        """Our own dimensions, with those of `file` in their place or added, without those whose keys are fixed.

        Raises:
            ConfigError: the file cannot be read, is not of that form, or nothing is left to tune.
        """
        theirs = [] if file is None else _read(file)
        replaced, settled = {each.key for each in theirs}, set(fixed)
        ours = [each for each in _read(OWN) if each.key not in replaced]
        kept = [each for each in (*ours, *theirs) if each.key not in settled]
        found = cls(base=base, dimensions=tuple(each.around(base) for each in kept))
        if not any(each.applies(base) for each in found.dimensions):
            raise ConfigError("Nothing is left to tune: leave some --set out, or add a dimension by --space FILE")
        return found

    def defaults(self) -> dict[str, Any]:
        """What the tuned settings are by default, by key; without those that follow from others."""
        own = {each.key: each.own(self.base) for each in self.dimensions if each.applies(self.base)}
        return {key: value for key, value in own.items() if value is not None}

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Settings for a trial of Optuna's, each chosen beside those before it."""
        settings: dict[str, Any] = {}
        for dimension, _ in self._walk(settings):
            settings[dimension.key] = dimension.suggest(trial)
        return settings

    def suggest_default(self, trial: Any) -> None:
        """Have a trial, whose sampler knows `stored_defaults`, hold what the default is."""
        for dimension, config in self._walk({}):
            if dimension.own(config) is not None:
                dimension.suggest(trial)

    def stored_defaults(self) -> dict[str, Any]:
        """The defaults as Optuna keeps them."""
        applied = {each.key: each for each in self.dimensions if each.applies(self.base)}
        return {key: applied[key].stored(value) for key, value in self.defaults().items()}

    def restored(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Settings from what Optuna has kept of them."""
        settings: dict[str, Any] = {}
        for dimension, _ in self._walk(settings):
            if dimension.key in kept:
                settings[dimension.key] = dimension.restored(kept[dimension.key])
        return settings

    def _walk(self, settings: Mapping[str, Any]) -> Iterator[tuple[Dimension, RunConfig]]:
        """Dimensions that apply beside `settings`, which may grow on the way, and the configuration so far."""
        for dimension in self.dimensions:
            config = configured(self.base, settings)
            if dimension.applies(config):
                yield dimension, config


def _read(file: Path) -> list[Dimension]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the space '{file}': {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"'{file}' is not valid TOML: {error}") from None
    tables = values.pop("dimension", None)
    if values or not isinstance(tables, list):
        strange = next(iter(values), "dimension")
        raise ConfigError(
            f"'{file}': expected [[dimension]] with a key, and values or low and high" + (
                f"; '{strange}' is none: {nearest(strange, ['dimension'])}" if values else ""
            )
        )
    try:
        return [Dimension.model_validate(table) for table in tables]
    except ValidationError as error:
        raise ConfigError(f"'{file}': {explain(error)}") from None
