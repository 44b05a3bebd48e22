"""One process at a time in a folder."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from socket import gethostname

from pellucid.core.errors import UserError
from pellucid.core.files import explained

NAME = ".lock"
LACKING = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a file system says that has no locks."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others out of `folder` while the block runs; the system ends the lock with its process, however that ends.

    Where the system has no locks (Windows, some network file systems) nobody is kept out. The folder is made where it is not
    there, and taken away again if the block leaves it empty.

    Raises:
        UserError: somebody else holds it, who is named; or the system refuses.
    """
    if find_spec("fcntl") is None or (folder.exists() and not folder.is_dir()):
        yield
        return
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = _take(folder / NAME)
    try:
        yield
    finally:
        (folder / NAME).unlink(missing_ok=True)
        os.close(held)
        with suppress(OSError):  # what is not empty stays
            for place in made:
                place.rmdir()


def _take(path: Path) -> int:
    """The descriptor of a locked file that is the one at `path`: its last owner may have deleted it meanwhile."""
    import fcntl

    while True:
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with _lockless():
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(opened).st_ino == path.stat().st_ino:
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
