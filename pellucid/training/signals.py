"""Stopping when asked to: SIGINT, SIGTERM and a closed terminal end training after the step at hand."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[list[str]]:
    """A list that names the signal once SIGINT, SIGTERM or SIGHUP came; a second one acts as it did before."""
    caught: list[str] = []

    def handle(number: int, _frame: object) -> None:
        caught.append(signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])

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
