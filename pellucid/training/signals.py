"""Stopping when asked to: SIGINT, SIGTERM and a closed terminal end training after the step at hand."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[list[str]]:
    """A list that names the signal once SIGINT, SIGTERM or SIGHUP came.

    A second Ctrl-C acts as it did before. The others may come twice, as to the ranks of a job, from outside and from
    torchrun: what is being saved is saved.
    """
    caught: list[str] = []

    def handle(number: int, _frame: object) -> None:
        caught.append(signal.Signals(number).name)
        if number == signal.SIGINT:
            signal.signal(number, before[signal.SIGINT])

    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows; left alone where nohup has it ignored
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        numbers.append(hangup)
    try:
        before = {number: signal.signal(number, handle) for number in numbers}
    except ValueError:  # not the main thread: whoever owns the process handles its signals
        yield caught
        return
    try:
        yield caught
    finally:
        for number in numbers:
            signal.signal(number, before[number])
