"""From a path to its sources: a folder is walked, and each file in it is a source of the kind that claims it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pellucid.core.items import Rejection
from pellucid.sources import sources
from pellucid.sources.source import Source
from pellucid.sources.walk import shown, walk


def find(path: Path) -> Iterator[Source | Rejection]:
    """The sources in a folder, in the order of their names, or the one that `path` is; rejections for what is no file."""
    walked = path.is_dir()
    folder = path if walked else path.parent
    for found in walk(path) if walked else [path]:
        if isinstance(found, Rejection):
            yield found
            continue
        kind = kind_of(found)
        parts = found.relative_to(folder).parts if walked else (str(path) if is_remote(path) else path.name,)
        name, label = shown("/".join(parts)), shown(parts[0]) if len(parts) > 1 else None
        yield kind(path=found, name=name, label=label)


def kind_of(path: Path) -> type[Source]:
    """The kind of source that a name stands for."""
    return next(kind for kind in _kinds() if kind.claims(path))


def is_remote(path: Path) -> bool:
    """Whether `path` is no place on this machine's disk."""
    return kind_of(path) is sources["hub"]


@cache
def _kinds() -> tuple[type[Source], ...]:
    return tuple(sources.values())
