"""The files of a folder, in an order that depends on their names alone; links are not followed out of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pellucid.core.items import Rejection

COMPANIONS = frozenset({
    "labels.txt", "metadata.jsonl", "metadata.csv", "README.md", "LICENSE", "Thumbs.db",
    "dataset_info.json", "dataset_dict.json", "state.json",
})  # fmt: skip
"""Files that belong to a data set without being samples."""


def walk(folder: Path) -> Iterator[Path | Rejection]:
    """Every file below `folder`, but for hidden ones and companions; a rejection for what is not a plain file in it.

    Memory grows with the names of one folder at a time.
    """
    root = folder.resolve()
    waiting = [""]
    while waiting:
        source = waiting.pop()
        path = folder / source
        if source and path.is_symlink() and not _stays(path, root):
            yield Rejection(source=shown(source), reason="a link that leads out of the folder, or in a circle")
        elif path.is_dir():
            try:
                names = sorted((entry.name for entry in path.iterdir()), reverse=True)
            except OSError as error:
                yield Rejection(source=shown(source), reason=f"a folder that cannot be opened: {error.strerror}")
                continue
            waiting.extend(f"{source}/{name}" if source else name for name in names if not is_hidden([name]))
        elif path.is_file():
            yield path
        else:
            yield Rejection(source=shown(source), reason="not a regular file")


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a file is none of the samples by its name, or lies in a hidden folder."""
    return not parts or parts[-1] in COMPANIONS or any(part.startswith(".") for part in parts)


def places(name: str) -> tuple[str, ...]:
    """The folders and the name of a file in an archive. Only ever shown, never a place on the disk: `..` means nothing.

    >>> places("/../cats/1.png")
    ('cats', '1.png')
    """
    return tuple(shown(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def shown(source: str) -> str:
    """A name as valid text, whatever bytes it has on the disk."""
    return source.encode("utf-8", "replace").decode("utf-8")


def _stays(link: Path, root: Path) -> bool:
    """Whether a link ends at a file inside; linked folders may run in circles and are left out."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return target.is_relative_to(root) and target.is_file()
