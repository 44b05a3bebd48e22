"""From a path to its sources: a folder is walked, and each file in it is a source of the kind that claims it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pellucid.core.items import Rejection
from pellucid.sources import sources
from pellucid.sources.companions import TABLES, Companions
from pellucid.sources.limits import LARGEST
from pellucid.sources.source import Source
from pellucid.sources.store import is_url
from pellucid.sources.walk import shown, walk


def find(path: Path, column: str | None = None) -> Iterator[Source | Rejection]:
    """The sources in a folder, in the order of their names, or the one that `path` is; rejections for what is no file.

    Arguments:
        column: that holds captions, wherever there are columns; None: the likeliest.
    """
    if not path.is_dir():
        yield kind_of(path)(path=path, name=shown(str(path) if is_remote(path) else path.name), column=column)
        return
    companions = _companions(path, column)
    for found in walk(path):
        if isinstance(found, Rejection):
            yield found
            continue
        parts = found.relative_to(path).parts
        place, label = "/".join(parts), shown(parts[0]) if len(parts) > 1 else None
        if not companions.is_one(place):
            yield kind_of(found)(path=found, name=shown(place), label=label, told=companions.told(place), column=column)
    yield from companions.lost()


def find_companions(path: Path) -> Iterator[Path]:
    """The files in a folder that tell of others."""
    if path.is_dir():
        companions = _companions(path)
        texts = (found for found in walk(path) if isinstance(found, Path) and found.suffix.lower() == ".txt")
        yield from (found for found in texts if companions.is_one(found.relative_to(path).as_posix()))
        yield from sorted(found for name in TABLES for found in path.rglob(name) if found.is_file())


def _companions(folder: Path, column: str | None = None) -> Companions:
    def names(place: str) -> list[str]:
        return [entry.name for entry in (folder / place).iterdir()]

    def read(place: str) -> bytes | None:
        file = folder / place
        plain = file.is_file() and not file.is_symlink() and file.stat().st_size <= LARGEST
        return file.read_bytes() if plain else None

    return Companions(names, read, column)


def kind_of(path: Path) -> type[Source]:
    """The kind of source that a name stands for."""
    return next(kind for kind in _kinds() if kind.claims(path))


def is_remote(path: Path) -> bool:
    """Whether `path` is no place on this machine's disk."""
    return is_url(path) or kind_of(path) is sources["hub"]


@cache
def _kinds() -> tuple[type[Source], ...]:
    return tuple(sources.values())
