"""What a process does while it reads a case: lines of the package that it reaches, memory, places that it touches."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pellucid

PACKAGE = str(Path(pellucid.__file__).parent) + os.sep
PLACES = {
    "open": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.mkdir": (0,), "os.rmdir": (0,), "os.symlink": (1,),
    "os.link": (1,), "os.chmod": (0,), "os.chown": (0,), "os.truncate": (0,), "shutil.rmtree": (0,), "os.utime": (0,),
}  # fmt: skip
"""Events that change the disk, and which of their arguments are places."""
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
             "socket.connect")  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HARMLESS = ("/dev/null", "/dev/urandom")


class Lines:
    """Lines of the package that were ever reached, by (file, line); `new` counts those since it was last set to 0."""

    def __init__(self, known: set[tuple[str, int]]) -> None:
        self.known, self.new = known, 0
        self._left: dict[CodeType, set[int]] = {}

    @contextmanager
    def followed(self) -> Iterator[None]:
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        left = self._left.get(code)
        if left is None:
            inside = code.co_filename.startswith(PACKAGE)
            lines = {line for _, _, line in code.co_lines() if line} if inside else set[int]()
            left = self._left[code] = {line for line in lines if (code.co_filename, line) not in self.known}
        if not left:  # all of it is known
            return None
        self._reach(code, left, frame.f_lineno)
        return self._line

    def _line(self, frame: FrameType, event: str, _arg: Any) -> Callable[..., Any] | None:
        left = self._left[frame.f_code]
        if event == "line":
            self._reach(frame.f_code, left, frame.f_lineno)
        return self._line if left else None

    def _reach(self, code: CodeType, left: set[int], line: int) -> None:
        if line in left:
            left.discard(line)
            self.known.add((code.co_filename, line))
            self.new += 1


class Watch:
    """Refuses to write anywhere but in one folder, and notes every attempt; also to run programs and unpickle names."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.found = os.path.realpath(folder) + os.sep, list[str]()
        self._on = False
        sys.addaudithook(self._heard)

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or (event not in PLACES and event not in FORBIDDEN):
            return
        if event in FORBIDDEN:
            self._refuse(f"{event} {str(arguments)[:200]}")
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        for which in PLACES[event]:
            place = arguments[which]
            if isinstance(place, str | bytes | os.PathLike) and not self._inside(os.fsdecode(place)):
                self._refuse(f"{event} of {os.fsdecode(place)[:200]!r}")

    def _inside(self, place: str) -> bool:
        self._on = False  # what follows asks the disk itself
        try:
            return place in HARMLESS or (os.path.realpath(place) + os.sep).startswith(self.folder)
        except (OSError, ValueError):
            return True  # no such place can be
        finally:
            self._on = True

    def _refuse(self, what: str) -> None:
        self.found.append(what)
        raise PermissionError(1, "not while fuzzing", what)


def memory(name: str = "VmHWM") -> int:
    """Bytes of this process: resident at most since `forget_peak`, or by another name of /proc/self/status."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak() -> None:
    """Count the peak of memory from here on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

