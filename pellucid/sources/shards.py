"""The shards of a data set: archives and tables that are read one by one, named by a pattern, a folder or a list."""

import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from pellucid.core.errors import DataError, UserError
from pellucid.sources.find import kind_of
from pellucid.sources.store import is_url, listed, url
from pellucid.sources.walk import walk

BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
MOST = 1_000_000
"""Shards."""


def is_pattern(path: Path | str) -> bool:
    """Whether a name stands for shards: an address, braces or an asterisk."""
    return is_url(path) or bool(BRACES.search(str(path))) or "*" in str(path)


def is_shard(place: str) -> bool:
    """Whether a name ends like that of a tar or zip archive or of a table."""
    name = place.partition("?")[0] if is_url(place) else place
    return any(kind_of(Path(name)).suffixes)


def shards(data: str) -> list[str]:
    """The shards that `data` names, each once: in the order of the pattern or list, of a folder in that of their names.

    Arguments:
        data: shards by name, with braces ({000..099}, {train,extra}) or asterisks; a folder of them; or a .txt file with one
            such name a line. A place on the disk, or an address that fsspec knows.

    Raises:
        DataError: there are none.
        UserError: see `listed`.
    """
    place = url(data) or data
    lines = _lines(Path(place)) if place.endswith(".txt") and not is_url(place) else [place]
    found = list(dict.fromkeys(shard for line in lines for name in braced(line) for shard in _matching(name)))
    if not found:
        raise DataError(f"'{data}' names no shard: expected .tar, .zip or .parquet files, as in 'shards-{{000..099}}.tar'")
    if strange := [name for name in found if not is_shard(name)]:
        raise DataError(f"'{strange[0]}' is no shard that can be streamed: expected a .tar, .zip or .parquet file")
    return found


def braced(name: str) -> list[str]:
    """What a name with braces stands for.

    >>> braced("a-{08..10}.tar"), braced("{x,y}.tar")
    (['a-08.tar', 'a-09.tar', 'a-10.tar'], ['x.tar', 'y.tar'])
    """
    found = BRACES.search(name)
    if found is None:
        return [name]
    low, high, words = found.groups()
    values = words.split(",") if words else [f"{n:0{len(low)}d}" for n in range(int(low), min(int(high), MOST) + 1)]
    return [one for value in values for one in braced(name[: found.start()] + value + name[found.end() :])]


def _matching(name: str) -> Iterator[str]:
    if is_url(name):
        yield from listed(name, is_shard) if "*" in name or not is_shard(name) else [name]
    elif Path(name).is_dir():
        yield from (str(path) for path in walk(Path(name)) if isinstance(path, Path) and is_shard(str(path)))
    else:
        yield from sorted(glob(name)) if "*" in name else [name]  # noqa: PTH207, a whole path


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the list of shards '{path}': {error}") from None
    own = [line.strip() for line in lines if line.strip()]
    return [name if is_url(name) else str(path.parent / name) for name in own]
