"""What a setting is in a configuration that may not name it."""

import inspect
from typing import Any

from pellucid.codecs import codecs
from pellucid.core.registry import Registry
from pellucid.denoisers import denoisers
from pellucid.losses import times, weightings
from pellucid.networks import networks
from pellucid.processes import processes
from pellucid.schedules import schedules
from pellucid.training import optimisers
from pellucid.training.config import RunConfig

HOMES: dict[str, Registry] = {
    "codec": codecs, "denoiser": denoisers, "loss.times": times, "loss.weighting": weightings, "network": networks,
    "optimiser": optimisers, "process": processes, "schedule": schedules,
}  # fmt: skip
"""Sections that describe a part, and where its class is looked up."""


def value_of(config: RunConfig, key: str) -> Any:
    """The value of a dotted key: as it stands there, or as the part of that name has it by itself; None if neither says."""
    *path, last = key.split(".")
    section: Any = config.model_dump(mode="json")
    for word in path:
        section = section.get(word, {}) if isinstance(section, dict) else {}
    if not isinstance(section, dict):
        return None
    home, name = HOMES.get(".".join(path)), section.get("name")
    if last in section or home is None or not isinstance(name, str) or name not in home:
        return section.get(last)
    parameter = inspect.signature(home[name]).parameters.get(last)
    found = None if parameter is None or parameter.default is parameter.empty else parameter.default
    return list(found) if isinstance(found, tuple) else found
