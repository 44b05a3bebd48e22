"""Decoded shards in memory: those that are asked for, and the next ones on their way, read by a thread in the background."""

from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Any

from numpy.typing import NDArray

Read = Callable[[int], NDArray[Any]]


class Shelf:
    """`shelf(number)` is a shard's samples. What is not wanted any longer is let go before anything new is read.

    Arguments:
        read: gives a shard's samples (N, C, *space); it is called in one thread at a time.

    Attributes:
        held, most: bytes in memory now, and at any time so far.
    """

    def __init__(self, read: Read) -> None:
        self.held = self.most = 0
        self._read = read
        self._wanted: Sequence[int] = ()
        self._there: dict[int, NDArray[Any] | Exception] = {}
        self._changed = Condition()
        self._reading = False

    def want(self, numbers: Sequence[int]) -> None:
        """These shards, the first ones first, and no others."""
        with self._changed:
            if list(numbers) == self._wanted:
                return
            self._wanted = list(numbers)
            for number in self._there.keys() - set(numbers):
                del self._there[number]
            self._count()
            self._go_on()

    def __call__(self, number: int) -> NDArray[Any]:
        """One that is wanted, as soon as it is there.

        Raises:
            Exception: what reading it raised; asked for again, it is read again.
        """
        with self._changed:
            if number not in self._wanted:
                raise ValueError(f"shard {number} is not among those wanted")
            self._changed.wait_for(lambda: number in self._there or not self._reading)
            found = self._there.get(number)
            if found is not None and not isinstance(found, Exception):
                return found
            failed = next(one for one in (found, *self._there.values()) if isinstance(one, Exception))
            self._there.clear()
            self._wanted = ()
            raise failed

    def _next(self) -> int | None:
        return next((number for number in self._wanted if number not in self._there), None)

    def _go_on(self) -> None:
        if not self._reading and self._next() is not None:
            self._reading = True
            Thread(target=self._work, name="shards", daemon=True).start()

    def _work(self) -> None:
        """Read what is wanted, one after the other, until all is there or a shard cannot be read."""
        while True:
            with self._changed:
                number = self._next()
                if number is None or any(isinstance(one, Exception) for one in self._there.values()):
                    self._reading = False
                    self._changed.notify_all()
                    return
            try:
                found: NDArray[Any] | Exception = self._read(number)
            except Exception as error:  # raised where it is asked for
                found = error
            with self._changed:
                if number in self._wanted:
                    self._there[number] = found
                del found
                self._count()
                self._changed.notify_all()

    def _count(self) -> None:
        self.held = sum(one.nbytes for one in self._there.values() if not isinstance(one, Exception))
        self.most = max(self.most, self.held)
