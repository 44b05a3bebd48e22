"""Settings of networks: derived where they are not given, refused where they are out of range."""

from pellucid.core.errors import ConfigError
from pellucid.networks.grid import Factors


def setting(name: str, given: int | None, derived: int) -> int:
    """The value given, or where it is None the one derived from the size; refused if it is under one."""
    value = derived if given is None else given
    if value < 1:
        raise ConfigError(f"{name} = {value} is too small: expected at least 1; leave it out to derive it from size")
    return value


def patch_of(patch: int | tuple[int, ...], rank: int) -> Factors:
    """A patch as given, one number or one per axis, as factors; refused if it does not fit."""
    factors = (patch,) * rank if isinstance(patch, int) else patch
    if len(factors) != rank or min(factors) < 1:
        raise ConfigError(f"patch = {patch} does not fit: expected a number of at least 1, or {rank} of them, one per "
                          "axis; leave it out to derive it from size and space")
    return factors
