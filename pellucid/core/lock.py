"""One process at a time in a folder."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from socket import gethostname

from pellucid.core.errors import UserError
from pellucid.core.files import explained

NAME = ".lock"
LACKING = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a file system says that has no locks."""


@dataclass(eq=False)
class _Held:
    """A folder that is locked here, and the descriptor of the file by which it is."""

    folder: Path
    descriptor: int

    @property
    def own(self) -> bool:
        """Whether that file still is the one in the folder, which may have been moved away or deleted."""
        return _is_at(self.descriptor, self.folder / NAME)


_HELD: ContextVar[tuple[_Held, ...]] = ContextVar("held", default=())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others out of `folder` while the block runs; the system ends the lock with its process, however that ends.

    Where the system has no locks (Windows, some network file systems) nobody is kept out. The folder is made where it is not
    there, and taken away again if the block leaves it empty. Within the block the folder may be locked once more.

    Raises:
        UserError: somebody else holds it, who is named; or the system refuses.
    """
    if find_spec("fcntl") is None or (folder.exists() and not folder.is_dir()):
        yield
        return
    if any(held.folder == folder.resolve() for held in _HELD.get()):
        yield
        return
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = _Held(folder.resolve(), _take(folder / NAME))
    before = _HELD.set((*_HELD.get(), held))
    try:
        yield
    finally:
        _HELD.reset(before)
        if held.own:
            (held.folder / NAME).unlink(missing_ok=True)
        os.close(held.descriptor)
        with suppress(OSError):  # what is not empty stays
            for place in made:
                place.rmdir()


def keep_locked() -> None:
    """Lock anew what this process has locked and somebody moved away or deleted, before anything is written there.

    Raises:
        UserError: another process is at work there by now, who is named.
    """
    for held in _HELD.get():
        if not held.own:
            with explained(held.folder):
                held.folder.mkdir(parents=True, exist_ok=True)
                taken = _take(held.folder / NAME)
            os.close(held.descriptor)
            held.descriptor = taken


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _take(path: Path) -> int:
    """The descriptor of a locked file that is the one at `path`: its last owner may have deleted it meanwhile."""
    import fcntl

    while True:
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with _lockless():
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(opened, path):
                own = {"process": os.getpid(), "host": gethostname(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
                os.truncate(opened, 0)
                os.write(opened, json.dumps(own).encode())
                return opened
        except BlockingIOError:
            owner = _owner(path)
            os.close(opened)
            raise UserError(f"Another process is at work in '{path.parent}'{owner}: wait for it, stop it, or choose another "
                            "folder") from None  # fmt: skip
        except BaseException:
            os.close(opened)
            raise
        os.close(opened)


@contextmanager
def _lockless() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in LACKING:
            raise


def _owner(path: Path) -> str:
    try:
        own = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {own['process']} on {own['host']}, since {own['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written yet who it is
        return ""
