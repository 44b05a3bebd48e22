"""Files: written so that a reader meets the old content or the new, never half of it, even after a crash; and hashed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from secrets import token_hex
from shutil import rmtree

from pellucid.core.errors import UserError

TEMPORARY = ".tmp-"
"""How names of files that are still being written begin."""


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """A temporary name beside `path`, with its suffix; what is written there becomes `path` when the block ends well.

    The content is flushed to the disk before the rename; when the block raises, nothing is left. Parents are made.

    Raises:
        UserError: the system refuses: no permission, disk full, a folder stands in the way.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """The same for a folder: the block fills a temporary one, which then takes the place of all that `path` held.

    Raises:
        UserError: the system refuses: no permission, disk full, a file stands in the way.
    """
    path = Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, old = _beside(path), _beside(path)
        temporary.mkdir()
        try:
            yield temporary
            for inside in (*temporary.rglob("*"), temporary):
                _flush(inside)
            if path.is_dir():  # no system call swaps folders portably: between these two renames there is none
                path.rename(old)
            try:
                temporary.rename(path)
            except BaseException:
                if old.exists():
                    old.rename(path)
                raise
            rmtree(old, ignore_errors=True)
            _flush(path.parent)
        finally:
            rmtree(temporary, ignore_errors=True)


def clear_temporaries(folder: Path) -> None:
    """Delete what a killed process left half written in `folder`, not below it; nobody else may be writing there."""
    for left in folder.glob(f"{TEMPORARY}{12 * '[0-9a-f]'}*"):
        if left.is_dir():
            rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces, as hexadecimal digits."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _beside(path: Path) -> Path:
    return path.parent / f"{TEMPORARY}{token_hex(6)}{path.suffix}"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Around what writes `path`: what the system refuses becomes a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a library's complaint about content, not the system's
            raise
        raise UserError(f"Cannot write '{path}': {_reason(path, error)}") from error


def _reason(path: Path, error: OSError) -> str:
    """What the system said; where a file stands in the place of a folder, its name."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        files = [parent for parent in path.parents if parent.exists() and not parent.is_dir()]
        return f"'{files[0]}' is a file, not a folder" if files else f"'{path}' is a file, not a folder"
    return error.strerror or str(error)
