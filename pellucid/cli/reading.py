"""What a person sees while data is read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console

from pellucid.cli.console import counted, duration
from pellucid.core.items import Item, Record

EVERY = 0.2  # seconds between two looks of a terminal
SELDOM = 15.0  # and of a log


@contextmanager
def reading(screen: Console, files: int) -> Iterator[Callable[[Iterator[Record]], Iterator[Record]]]:
    """A function that passes records on and shows how many came, with the time left while source files are.

    Arguments:
        files: source files in all; of one large file, only the samples can be counted.
    """
    start = monotonic()
    with screen.status("reading") as status:

        def watch(records: Iterator[Record]) -> Iterator[Record]:
            shown, samples, sources = start, 0, 0
            for record in records:
                samples += isinstance(record, Item)
                sources += not isinstance(record, Item)
                now = monotonic()
                if now - shown > (EVERY if screen.is_terminal else SELDOM):
                    text, shown = f"reading  {progress(samples, sources, files, now - start)}", now
                    status.update(text)
                    if not screen.is_terminal:
                        screen.print(text)
                yield record

        yield watch


def progress(samples: int, sources: int, files: int, seconds: float) -> str:
    """How far reading is.

    >>> progress(480, 500, 2000, 10.0)
    '500 of 2,000 files  30 s left'
    >>> progress(12000, 3, 3, 10.0)
    '12,000 samples'
    """
    if not 0 < sources < files:
        return counted(samples, "sample")
    return f"{sources:,} of {files:,} files  {duration(seconds / sources * (files - sources))} left"
