"""A model at work for many: what may be asked of it, and jobs that wait their turn."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from secrets import randbits
from time import monotonic, time
from typing import Any

from pellucid.core.errors import ConfigError
from pellucid.model.model import Model
from pellucid.serving.batcher import Batcher, DroppedError, Job, Tell
from pellucid.serving.drawing import Asked, Made, Pace, best_batch, draw
from pellucid.serving.watch import Watch

LINGER = 0.05
"""Of the time that a batch takes: how long one that is not full waits for more."""
LONGEST_LINGER = 0.05


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server puts up with.

    Attributes:
        samples: of one request: of a table the versions, of texts from texts also the candidates.
        waiting: samples of all requests that may wait.
        seconds: from a request's arrival to its answer.
        body: bytes of a request.
        held: bytes of all requests that wait.
        pixels: of a picture that is sent, and of all versions of one at its own size.
    """

    samples: int = 128
    waiting: int = 1024
    seconds: float = 600.0
    body: int = 32 * 2**20
    held: int = 256 * 2**20
    pixels: int = 2**24


class Service:
    """A model, what runs it, and the figures of what it does.

    The thread that runs it should be the one that loaded it: a second that computes in parallel has workers of its own, and
    where there are more workers than cores they sleep between calls, by which small networks lose up to a third.

    What is sent is read in a thread of its own (`reader`), so that a table that takes long holds up no drawing.

    Arguments:
        model: as loaded.
        name: by which requests call it.
        rows: samples made at once; 0: as many as pay on this machine, which is measured.
        seed: of requests that have none; None: a random one each.
        thread: whether it runs in a thread of its own; otherwise somebody has to call `batcher.work`.
    """

    def __init__(
        self, model: Model, name: str, *, limits: Limits | None = None, rows: int = 0, seed: int | None = None,
        thread: bool = True,
    ) -> None:  # fmt: skip
        self.model, self.name, self.limits = model, name, limits or Limits()
        self.watch, self.began, self.seed = Watch(), int(time()), seed
        pace = Pace(rows=rows, least=(rows + 1) // 2, seconds=inf) if rows else best_batch(model)
        self.rows = pace.rows
        steps = int(model.sampling()["steps"])
        self.batcher = Batcher(self._draw, rows=self.rows, least=pace.least, waiting=self.limits.waiting,
                               linger=min(LONGEST_LINGER, LINGER * steps * pace.seconds), room=self.limits.held)  # fmt: skip
        self.reader = Batcher(_alone, rows=1, waiting=self.limits.waiting, room=self.limits.held).start()
        if thread:
            self.batcher.start()
        self.watch.follow(lambda: self.batcher.depth, lambda: len(self.batcher.drawing))

    def seed_for(self, asked: int | None) -> int:
        """A request's own seed, or the server's, or any."""
        own = self.seed if asked is None else asked
        return randbits(63) if own is None else own

    def sample(self, asked: Asked, tell: Tell = lambda _done, _whole: None) -> Job:
        """Queue samples. Raises as `Batcher.submit` does, and a ConfigError for too many."""
        self.check(asked.n)
        job = Job(asked=asked, count=asked.n, key=asked.key, most=asked.most, tell=tell, size=asked.size,
                  deadline=self.until())  # fmt: skip
        self.batcher.submit(job)
        return job

    def work(
        self, task: Callable[[Tell], Any], tell: Tell = lambda _done, _whole: None, *, n: int = 1, candidates: int = 1,
        size: int = 0, until: float | None = None,
    ) -> Job:  # fmt: skip
        """Queue what is made by itself, by a task that tells its progress: its result is the only one in the job's list.

        Arguments:
            n, candidates: samples that it makes, and of how many each is chosen.
            size: bytes that it holds while it waits.
            until: when its time is over, where it began earlier; None: it begins now.
        """
        self.check(n, candidates)
        job = Job(asked=task, key=object(), tell=tell, each=n * candidates, size=size,
                  deadline=self.until() if until is None else until)  # fmt: skip
        self.batcher.submit(job)
        return job

    async def read(self, task: Callable[[], Any], gone: Callable[[], Awaitable[Any]], *, size: int, until: float) -> Any:
        """What a task makes of what was sent, `size` bytes of it. Raises as `Batcher.submit` and `finished` do."""
        job = Job(asked=lambda _tell: task(), key=object(), size=size, deadline=until)
        self.reader.submit(job)
        return (await finished(job, gone))[0]

    def check(self, n: int, candidates: int = 1) -> None:
        """Refuse too many samples."""
        if n * candidates > self.limits.samples:
            came = f"n = {n}" if candidates == 1 else f"n x candidates = {n} x {candidates}"
            raise ConfigError(f"{came}: at most {self.limits.samples} for a request")

    def until(self) -> float:
        """When the time of a request that comes now is over."""
        return monotonic() + self.limits.seconds

    def close(self, seconds: float) -> None:
        """Take on no more, and finish what was taken on, for so long at most."""
        self.reader.close(0)
        self.batcher.close(seconds)

    def _draw(self, rows: Sequence[tuple[Any, int]], tell: Tell) -> list[Any]:
        if not isinstance(rows[0][0], Asked):
            return _alone(rows, tell)
        made: list[Made] = draw(self.model, rows, tell)
        self.watch.batch(len(rows))
        return made


def _alone(rows: Sequence[tuple[Any, int]], tell: Tell) -> list[Any]:
    """What a task makes."""
    ((task, _),) = rows
    return [task(tell)]


async def finished(job: Job, gone: Callable[[], Awaitable[Any]]) -> list[Any]:
    """The results of a job; it is given up when the client is gone, which the awaitable tells by its end.

    Raises:
        DroppedError: the client is.
    """
    result, left = asyncio.wrap_future(job.future), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({result, left}, timeout=job.deadline - monotonic(), return_when=asyncio.FIRST_COMPLETED)
        if left.done() and not result.done():
            raise DroppedError("The client has gone")
        if not result.done():  # whatever the clock says: timers may go off a little early
            job.expire()
        return await result
    finally:
        left.cancel()
        job.future.cancel()
