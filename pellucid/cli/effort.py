"""Sampling that is chosen by time or quality, for several commands."""

from typing import TYPE_CHECKING, Any

from pellucid.core.errors import ConfigError

if TYPE_CHECKING:
    from pellucid.model.model import Model


def choice(
    model: "Model", n: int, given: dict[str, Any], within: float | None, quality: str | None, *, conditional: bool,
    batch: int | None,
) -> dict[str, Any]:  # fmt: skip
    """Settings of sampling that --within or --quality stands for, in place of those `given`, of which there must be none."""
    from pellucid.model.effort import choose

    option = "--quality" if within is None else "--within"
    if within is not None and quality is not None:
        raise ConfigError("--within and --quality: give one of them")
    if model.group.size > 1 and within is not None:
        raise ConfigError(f"--within {within:g}: what {model.group.size} processes choose may differ, give --steps")
    if idle := [name for name, value in given.items() if value is not None]:
        raise ConfigError(f"{option} chooses how to sample: leave --{idle[0].replace('_', '-')} out")
    return choose(model, n, within=within, quality=quality, conditional=conditional, batch=batch or 64)


def in_words(settings: dict[str, Any]) -> str:
    """12 steps of dpmpp (order 3) on a karras grid, guidance 2 against weak."""

    def part(value: Any) -> str:
        section = {"name": value} if isinstance(value, str) else value
        more = ", ".join(f"{key} {value}" for key, value in section.items() if key not in ("name", "rows", "at"))
        return section["name"] + (f" ({more})" if more else "")

    told = f"{settings['steps']} step" + ("" if settings["steps"] == 1 else "s")
    told += f" of {part(settings['sampler'])}" if "sampler" in settings else " of the model's own sampler"
    told += f" on a {part(settings['grid'])} grid" if "grid" in settings else ""
    weight = settings.get("guidance", 1.0)
    return told + (f", guidance {weight:g} against {settings['against']}" if weight != 1 else "")
