"""Object stores and web servers, through fsspec: what lies there, and single files brought here for a moment."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any, TypeVar

from pellucid.core.errors import DataError, UserError
from pellucid.core.optional import optional
from pellucid.core.reason import reason

PAUSES = (1.0, 4.0, 16.0)
"""Seconds before each further attempt."""
ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]+):/+(?=[^/])")  # a path has lost one of two slashes
MISSING = ("404", "not found", "no such key", "nosuchkey")
REFUSED = ("credential", "access denied", "forbidden", "unauthorized", "401", "403")
"""Words of errors that tell of files that are not there, and of missing rights."""

T = TypeVar("T")


def url(path: Path | str) -> str | None:
    """The address that a path stands for; None: a place on the disk.

    >>> url(Path("s3://bucket/a.tar")), url("shards/a.tar")
    ('s3://bucket/a.tar', None)
    """
    found = ADDRESS.match(str(path))
    return None if found is None else f"{found[1]}://{str(path)[found.end() :]}"


def is_url(path: Path | str) -> bool:
    """Whether a path is an address."""
    return ADDRESS.match(str(path)) is not None


def listed(place: str, wanted: Callable[[str], bool]) -> list[str]:
    """The files that match an address with asterisks, or lie in the folder that it names, as far as they are `wanted`.

    Raises:
        UserError: see `fetched`.
    """

    def look(system: Any, path: str) -> list[str]:
        found = system.glob(path) if "*" in path else system.find(path)
        return sorted(name for name in map(system.unstrip_protocol, found) if wanted(name))

    return _patiently(place, look)


@contextmanager
def fetched(place: str) -> Iterator[Path]:
    """A file on the disk for as long as the block lasts: itself, or a copy of what lies elsewhere.

    Raises:
        DataError: it is not there.
        UserError: no package for such addresses, no access, or it fails again and again.
    """
    if not is_url(place):
        if not Path(place).is_file():
            raise _gone(place)
        yield Path(place)
        return
    with TemporaryDirectory(prefix="pellucid-shard-") as folder:
        copy = Path(folder) / PurePosixPath(place.partition("?")[0]).name

        def get(system: Any, path: str) -> None:
            size = system.info(path).get("size")
            system.get_file(path, str(copy))
            if size is not None and copy.stat().st_size != size:
                raise OSError(f"{copy.stat().st_size:,} of {size:,} bytes came")

        _patiently(place, get)
        yield copy


def _patiently(place: str, action: Callable[[Any, str], T]) -> T:
    """What `action(file system, path)` gives, after some attempts if need be."""
    fsspec = optional("fsspec", f"'{place}'", "stream")
    for pause in (*PAUSES, None):
        try:
            return action(*fsspec.core.url_to_fs(place))
        except ImportError as error:
            raise UserError(f"'{place}' needs a package beside fsspec, by pip install: {reason(error)}") from None
        except ValueError as error:
            raise UserError(f"'{place}' is no address that fsspec knows: {reason(error)}") from None
        except Exception as error:  # of any store's own library
            chain = list(_causes(error))
            if isinstance(error, FileNotFoundError) and (len(chain) == 1 or _says(chain, MISSING)):
                raise _gone(place) from None
            if isinstance(error, PermissionError) or _says(chain, REFUSED):
                raise UserError(
                    f"No access to '{place}': {reason(chain[-1])}. Give the credentials that the store's fsspec package "
                    "reads (for s3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; FSSPEC_S3_ANON=true for open data)"
                ) from None
            if pause is None:
                raise UserError(
                    f"'{place}' cannot be read, after {len(PAUSES) + 1} attempts: {reason(chain[-1])}. Go on with "
                    "--resume when the store answers again"
                ) from None
            sleep(pause)
    raise AssertionError("unreachable")


def _causes(error: BaseException) -> Iterator[Exception]:
    """An error and those behind it: the file system of https says of a server that is down that there is no such file."""
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        yield cause
        cause = cause.__cause__


def _says(chain: list[Exception], words: tuple[str, ...]) -> bool:
    told = " ".join(f"{type(error).__name__} {error}" for error in chain if not isinstance(error, FileNotFoundError)).lower()
    return any(word in told for word in words)


def _gone(place: str) -> DataError:
    return DataError(f"There is no shard '{place}': has it been moved or deleted, or is a name or number mistaken?")
