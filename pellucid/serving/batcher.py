"""Samples of several requests made together, each as it would be made alone."""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from math import inf
from threading import Condition, Event, Lock, Thread
from time import monotonic
from typing import Any
from weakref import ref

from pellucid.core.errors import PellucidError

Tell = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


class FullError(PellucidError):
    """As many are waiting as may."""


class ClosedError(PellucidError):
    """Nothing new is taken on."""


class ExpiredError(PellucidError):
    """The time that was given is over."""


class DroppedError(PellucidError):
    """Nobody waits for it any longer."""


@dataclass(eq=False, kw_only=True)
class Job:
    """Some samples that one request asks for.

    Attributes:
        asked: what is asked for, which the batcher hands on without a look.
        count: how many samples.
        each: as how many one of them counts where those that wait are bounded.
        size: bytes that it holds while it waits.
        key: jobs of equal keys may share a batch.
        most: samples of such a key that a batch may have; None: the batcher's own bound.
        deadline: on the clock of `time.monotonic`.
        tell: progress of the batch that has samples of the job.
        future: a list of `count` results, in order, or an error.
    """

    asked: Any
    count: int = 1
    each: int = 1
    size: int = 0
    key: Hashable = None
    most: int | None = None
    deadline: float = float("inf")
    tell: Tell = lambda _done, _whole: None
    future: Future[list[Any]] = field(default_factory=Future)
    taken: int = 0
    made: dict[int, Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def left(self) -> int:
        """Samples that no batch has yet."""
        return self.count - self.taken

    @property
    def over(self) -> bool:
        """Whether nobody waits for it: it was cancelled, has failed, or its time is over."""
        if not self.future.done() and monotonic() > self.deadline:
            self.expire()
        return self.future.done()

    def expire(self) -> None:
        """Its time is over."""
        self.end(ExpiredError("The time that was given is over"))

    def end(self, found: list[Any] | Exception) -> None:
        """With a result or an error; only the first counts."""
        with self._lock:
            future = self.future
            if future.done() or future.running() or not future.set_running_or_notify_cancel():
                return
        if isinstance(found, Exception):  # outside of the lock, as what the end calls may wait for others
            future.set_exception(found)
        else:
            future.set_result(found)


Row = tuple[Job, int]
"""One sample: the job that asks for it, and its place there."""
Draw = Callable[[Sequence[tuple[Any, int]], Callable[[int, int], None]], Sequence[Any]]
"""Makes the samples of (asked, place) pairs, and tells its progress, which may raise to stop it."""


class Batcher:
    """Makes what is asked for, as many samples at once as pay, in a thread: one of its own, or whichever calls `work`.

    The key of the job at the head of the queue is served next: of all jobs of that key each gives one sample in turn until
    the batch is full, and what is not done then goes to the end of the queue, so that a large job does not hold up small
    ones. A batch that is not full waits for `linger`, as more may come. A job that ends while it waits leaves at once, with
    all that it holds.

    Arguments:
        draw: makes a batch.
        rows: samples in a batch, at most.
        waiting: samples that may wait.
        room: bytes that what waits may hold.
        linger: seconds.
    """

    def __init__(
        self, draw: Draw, *, rows: int, waiting: int, room: float = inf, linger: float = 0.0, least: int | None = None
    ) -> None:
        self.draw, self.rows, self.waiting, self.room, self.linger = draw, rows, waiting, room, linger
        self.least = least or rows
        self._queue, self._changed, self._closed, self._until = deque[Job](), Condition(), False, inf
        self.drawing: tuple[Row, ...] = ()
        self._last: Hashable = None  # the key of the last batch
        self._answered, self._asking = 0, 0  # samples of its jobs that were done with it; with those that waited then
        self._ended = Event()

    def start(self) -> "Batcher":
        """Work in a thread of its own."""
        Thread(target=self.work, name="batcher", daemon=True).start()
        return self

    def submit(self, job: Job) -> None:
        """Have a job done; its future tells of it.

        Raises:
            FullError: too much is waiting.
            ClosedError: the server is being shut down.
        """
        with self._changed:
            if self._closed:
                raise ClosedError("The server is shutting down")
            there = [one for one in list(self._queue) if not one.over]  # those that are over leave
            samples, held = sum(one.left * one.each for one in there), sum(one.size for one in there)
            if samples and samples + job.count * job.each > self.waiting:
                raise FullError(f"{samples} samples are waiting, and {self.waiting} may")
            if held and job.size and held + job.size > self.room:
                raise FullError(f"{held:,} bytes of requests are waiting, {job.size:,} came, and {self.room:,} may wait")
            self._queue.append(job)
            self._changed.notify()
        job.future.add_done_callback(partial(self._leave, ref(job)))  # no cycle, which would hold it for longer

    def _leave(self, held: "ref[Job]", _: Any) -> None:
        """Of a job that has ended, whoever ended it: it waits no longer."""
        with self._changed:
            job = held()
            if job is not None and job in self._queue:
                self._queue.remove(job)

    @property
    def depth(self) -> int:
        """Samples that wait."""
        return sum(job.left * job.each for job in list(self._queue) if not job.future.done())

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    def close(self, seconds: float) -> None:
        """Take on no more, finish what was taken on, for so long at most; what is not done by then fails.

        Closed a second time it has what is left of that.
        """
        with self._changed:
            self._closed, self._until = True, min(self._until, monotonic() + seconds)
            self._changed.notify()
        self._ended.wait(max(0.0, self._until - monotonic()))
        with self._changed:
            left = {*self._queue, *(job for job, _ in self.drawing)}
        for job in left:
            job.end(ClosedError("The server was shut down"))

    def work(self) -> None:
        """Make what is asked for, until it is closed and all is done."""
        try:
            while batch := self._next():
                self.drawing = tuple(batch)
                self._make(batch)
                self.drawing = ()
                self._note(batch)
                del batch  # which would hold its jobs until there is another
        finally:
            self._ended.set()

    def _note(self, batch: Sequence[Row]) -> None:
        """Who may ask again."""
        with self._changed:
            first, self._last = batch[0][0], batch[0][0].key
            self._answered = sum(not job.left for job, _ in batch)
            self._asking = self._answered + sum(job.left for job in self._alike(first))

    def _next(self) -> list[Row]:
        """The samples of the next batch; none when all is done and nothing more will come."""
        with self._changed:
            while True:
                while not (first := self._first()) and not self._closed:
                    self._changed.wait()
                if first is None:
                    return []
                self._linger(first)
                if found := self._take(first):  # else all of them have left meanwhile
                    return found

    def _linger(self, first: Job) -> None:
        """Wait for those who may ask again."""
        until = monotonic() + self.linger
        while (left := until - monotonic()) > 0 and not self._closed:
            ready = sum(job.left for job in self._alike(first))
            if first.key != self._last or ready >= min(self._most(first), self._asking):
                break
            self._changed.wait(left)

    def _first(self) -> Job | None:
        """What has waited longest and is still wanted."""
        return next((job for job in list(self._queue) if not job.over), None)

    def _most(self, first: Job) -> int:
        """Samples of the next batch: half of those that wait or may ask again, where that is not too few."""
        bound, alike = min(self.rows, first.most or self.rows), self._alike(first)
        if len(alike) == 1:
            return bound
        answered = self._answered if first.key == self._last else 0
        half = (sum(job.left for job in alike) + answered + 1) // 2
        return min(bound, max(half, self.least))

    def _alike(self, first: Job) -> list[Job]:
        return [job for job in list(self._queue) if job.key == first.key and not job.over]

    def _take(self, first: Job) -> list[Row]:
        alike, rows, most = self._alike(first), list[Row](), self._most(first)
        while len(rows) < most and (some := [job for job in alike if job.left]):
            for job in some[: most - len(rows)]:
                rows.append((job, job.taken))
                job.taken += 1
        for job in alike:  # what is not done yet has had its turn
            if job in self._queue:  # its time may have ended just now
                self._queue.remove(job)
                self._queue.extend([job] if job.left else [])
        return rows

    def _make(self, batch: Sequence[Row]) -> None:
        jobs = list(dict.fromkeys(job for job, _ in batch))

        def tell(done: int, whole: int) -> None:
            if all(job.over for job in jobs):
                raise DroppedError("Nobody waits for it any longer")
            for job in jobs:
                job.tell(done, whole)

        if all(job.over for job in jobs):
            return
        try:
            found = self.draw([(job.asked, place) for job, place in batch], tell)
        except DroppedError:
            return
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].end(error)
            else:  # whose fault it is shows when each is alone
                for job in jobs:
                    self._make([row for row in batch if row[0] is job])
            return
        for (job, place), one in zip(batch, found, strict=True):
            job.made[place] = one
            if len(job.made) == job.count:
                job.end([job.made[place] for place in range(job.count)])

