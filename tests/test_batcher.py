"""Jobs that share batches: who goes with whom, in what order, and what becomes of those that fail or are given up."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError
from functools import partial
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any
from weakref import ref

import pytest

from pellucid.serving import service
from pellucid.serving.batcher import Batcher, ClosedError, ExpiredError, FullError, Job, Tell


class Maker:
    """Makes of (asked, place) the text "asked place", notes each batch, and waits to be let go on."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go, self.began = Event(), Event()

    def __call__(self, rows: Sequence[tuple[Any, int]], tell: Tell) -> list[str]:
        self.batches.append([f"{asked}{place}" for asked, place in rows])
        self.began.set()
        assert self.go.wait(10)
        tell(1, 2)
        if any(asked == "bad" for asked, _ in rows):
            raise ValueError("bad was asked for")
        return self.batches[-1]


@pytest.fixture
def maker() -> Maker:
    return Maker()


def batcher(maker: Maker, **settings: Any) -> Batcher:
    """One that is busy with a first job, so that what comes next is there all at once."""
    made = Batcher(maker, **{"rows": 4, "waiting": 100, **settings}).start()
    made.submit(Job(asked="first", key="first"))
    assert maker.began.wait(10)
    return made


def test_equal_keys_share_batches(maker: Maker) -> None:
    """Samples of different keys never meet; each job gets its own, in order, whatever batches they came from."""
    made = batcher(maker)
    jobs = [Job(asked=name, count=count, key=key) for name, count, key in (("a", 2, 1), ("b", 1, 2), ("c", 3, 1))]
    for job in jobs:
        made.submit(job)
    maker.go.set()
    assert [job.future.result(10) for job in jobs] == [["a0", "a1"], ["b0"], ["c0", "c1", "c2"]]
    assert maker.batches == [["first0"], ["a0", "c0", "a1", "c1"], ["b0"], ["c2"]]
    made.close(10)


def test_a_large_job_does_not_hold_up_small_ones(maker: Maker) -> None:
    """Neither of its key, whose turn comes with each of its own, nor of another, which is served between its batches."""
    made = batcher(maker)
    large, small, other = Job(asked="l", count=40, key=1), Job(asked="s", key=1), Job(asked="o", key=2)
    for job in (large, small, other):
        made.submit(job)
    maker.go.set()
    assert len(large.future.result(10)) == 40
    assert "s0" in maker.batches[1]
    assert maker.batches[2] == ["o0"]
    made.close(10)


def test_a_key_with_a_bound_of_its_own(maker: Maker) -> None:
    made = batcher(maker)
    job = Job(asked="a", count=5, key=1, most=2)
    made.submit(job)
    maker.go.set()
    job.future.result(10)
    assert [len(batch) for batch in maker.batches] == [1, 2, 2, 1]
    made.close(10)


def test_no_more_wait_than_may(maker: Maker) -> None:
    """One that is too large by itself is taken where nothing else waits."""
    made = batcher(maker, waiting=4)
    made.submit(Job(asked="a", count=3))
    with pytest.raises(FullError, match="3 samples are waiting, and 4 may"):
        made.submit(Job(asked="b", count=2))
    made.submit(Job(asked="c", count=1))
    assert made.depth == 4
    maker.go.set()
    made.close(10)
    alone = Batcher(maker, rows=4, waiting=4).start()
    job = Job(asked="d", count=9)
    alone.submit(job)
    assert len(job.future.result(10)) == 9
    alone.close(10)


def test_one_that_fails_alone_fails(maker: Maker) -> None:
    made = batcher(maker)
    good, bad, fine = (Job(asked=name, key=1) for name in ("good", "bad", "fine"))
    for job in (good, bad, fine):
        made.submit(job)
    maker.go.set()
    assert good.future.result(10) == ["good0"]
    assert fine.future.result(10) == ["fine0"]
    with pytest.raises(ValueError, match="bad was asked for"):
        bad.future.result(10)
    made.close(10)


def test_what_nobody_waits_for_is_not_made(maker: Maker) -> None:
    """Neither one that was cancelled, nor one whose time is over; a batch of such alone ends at its next step."""
    made = batcher(maker)
    gone, kept = (Job(asked=name, key=1) for name in ("gone", "kept"))
    late = Job(asked="late", key=1, deadline=monotonic() + 0.05)
    for job in (gone, late, kept):
        made.submit(job)
    gone.future.cancel()
    sleep(0.1)
    maker.go.set()
    assert kept.future.result(10) == ["kept0"]
    assert maker.batches[1:] == [["kept0"]]
    with pytest.raises(ExpiredError, match="is over"):
        late.future.result(10)
    with pytest.raises(CancelledError):
        gone.future.result(10)
    maker.go.clear()
    maker.began.clear()
    running = Job(asked="running", key=1)
    made.submit(running)
    assert maker.began.wait(10)
    running.future.cancel()
    maker.go.set()
    after = Job(asked="after", key=1)
    made.submit(after)
    assert after.future.result(10) == ["after0"]
    made.close(10)


def test_closing_finishes_what_was_taken_on(maker: Maker) -> None:
    made = batcher(maker)
    job = Job(asked="a", count=6, key=1)
    made.submit(job)
    maker.go.set()
    made.close(10)
    assert job.future.result(0) == [f"a{place}" for place in range(6)]
    assert not made.alive
    with pytest.raises(ClosedError, match="shutting down"):
        made.submit(Job(asked="b"))


def test_closing_ends_what_takes_too_long(maker: Maker) -> None:
    made = batcher(maker)
    job = Job(asked="a", key=1)
    made.submit(job)
    made.close(0.05)
    with pytest.raises(ClosedError, match="was shut down"):
        job.future.result(0)
    maker.go.set()


def test_a_batch_waits_for_those_that_were_just_answered(maker: Maker) -> None:
    """For the linger at most: two that asked together do so again, though one of them is slower."""
    made, jobs = batcher(maker, linger=5.0), [Job(asked=name, key=1) for name in "abcd"]
    for job in jobs[:2]:
        made.submit(job)
    maker.go.set()
    for job in jobs[:2]:
        job.future.result(1)
    for job in jobs[2:]:
        sleep(0.1)
        made.submit(job)
    assert [job.future.result(1) for job in jobs] == [["a0"], ["b0"], ["c0"], ["d0"]]
    assert maker.batches == [["first0"], ["a0", "b0"], ["c0", "d0"]]
    made.close(10)


def test_who_asks_alone_does_not_wait(maker: Maker) -> None:
    made = batcher(maker, linger=5.0)
    maker.go.set()
    for _ in range(3):
        job = Job(asked="a", key=1)
        made.submit(job)
        assert job.future.result(1) == ["a0"]
    made.close(10)


@pytest.mark.parametrize(("least", "sizes"), [(1, [1, 4, 4]), (6, [1, 6, 2]), (None, [1, 8])])
def test_half_is_made_while_the_other_is_answered(maker: Maker, least: int | None, sizes: list[int]) -> None:
    """Where half is not too few for the network; else all at once, or as many as are not too few."""
    made = batcher(maker, rows=8, least=least)
    jobs = [Job(asked=str(name), key=1) for name in range(8)]
    for job in jobs:
        made.submit(job)
    maker.go.set()
    for job in jobs:
        job.future.result(10)
    assert [len(batch) for batch in maker.batches][: len(sizes)] == sizes
    assert sum(len(batch) for batch in maker.batches) == 9
    made.close(10)


def test_progress_is_told_to_all_of_a_batch(maker: Maker) -> None:
    made, told = batcher(maker), list[str]()
    jobs = [Job(asked=name, key=1, tell=lambda done, whole, name=name: told.append(f"{name} {done}/{whole}"))
            for name in "ab"]  # fmt: skip
    for job in jobs:
        made.submit(job)
    maker.go.set()
    for job in jobs:
        job.future.result(10)
    assert told == ["a 1/2", "b 1/2"]
    made.close(10)


class Payload:
    """What a request holds."""


@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_what_is_over_is_not_held(maker: Maker, how: str) -> None:
    """Three hundred that left while another was drawn: the queue has none of them, and what they held is free."""
    made, held = batcher(maker, waiting=4), []
    for _ in range(300):
        job = Job(asked=Payload(), size=1 << 20, deadline=float("inf") if how == "cancelled" else monotonic() - 1)
        held.append(ref(job.asked))
        made.submit(job)
        if how == "cancelled":
            job.future.cancel()
    del job
    last = Job(asked="last")
    made.submit(last)
    assert (made.depth, len(made._queue)) == (1, 1)
    assert not any(one() for one in held)
    maker.go.set()
    assert last.future.result(10) == ["last0"]
    made.close(10)


def test_no_more_bytes_wait_than_may(maker: Maker) -> None:
    """One that is too large by itself is taken where no other bytes wait, and who leaves makes room."""
    made = batcher(maker, room=100)
    large = Job(asked="a", size=150)
    made.submit(large)
    with pytest.raises(FullError, match="150 bytes of requests are waiting, 1 came, and 100 may"):
        made.submit(Job(asked="b", size=1))
    made.submit(Job(asked="c"))
    large.future.cancel()
    made.submit(Job(asked="d", size=100))
    maker.go.set()
    made.close(10)


def test_one_that_makes_several_counts_as_so_many(maker: Maker) -> None:
    made = batcher(maker, waiting=100)
    made.submit(Job(asked="a", each=60))
    assert made.depth == 60
    with pytest.raises(FullError, match="60 samples are waiting, and 100 may"):
        made.submit(Job(asked="b", each=41))
    maker.go.set()
    made.close(10)


def test_one_that_leaves_while_others_are_waited_for(maker: Maker) -> None:
    """It takes the thread with it neither then nor later."""
    made = batcher(maker, linger=0.3)
    two = [Job(asked=name, key=1) for name in "ab"]
    for job in two:
        made.submit(job)
    maker.go.set()
    for job in two:
        job.future.result(10)
    gone = Job(asked="gone", key=1)  # of the last key, so that the other, who may ask again, is waited for
    made.submit(gone)
    sleep(0.1)
    gone.future.cancel()
    sleep(0.4)
    assert made.alive
    after = Job(asked="after", key=2)
    made.submit(after)
    assert after.future.result(10) == ["after0"]
    made.close(10)


def test_an_end_is_told_to_who_asks_the_batcher_then() -> None:
    """Many ends from two threads at once, each of which takes the batcher's lock and the job's: neither waits for ever."""
    made = Batcher(lambda rows, _tell: [asked for asked, _ in rows], rows=4, waiting=10_000).start()
    jobs = [Job(asked=place, key=place % 3, deadline=monotonic() + 0.05) for place in range(2000)]

    def end() -> None:
        for job in jobs:
            sleep(0)
            job.expire()

    ends = Thread(target=end, daemon=True)
    ends.start()
    for job in jobs:
        made.submit(job)
    ends.join(20)
    assert not ends.is_alive()
    made.close(10)
    assert not made.alive
    assert all(job.future.done() for job in jobs)


def test_closing_twice_takes_no_longer(maker: Maker) -> None:
    made = batcher(maker)
    closing = Thread(target=partial(made.close, 0.2))
    closing.start()
    began = monotonic()
    sleep(0.05)
    made.close(10)
    assert monotonic() - began < 5
    closing.join()
    maker.go.set()


def test_a_timer_that_goes_off_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """As uvloop's may, by half a millisecond: the time is over all the same."""
    made = Batcher(lambda rows, _tell: [place for _, place in rows], rows=1, waiting=9)  # which nobody works for
    job, plain = Job(asked=None, deadline=monotonic() + 60), asyncio.wait
    made.submit(job)

    async def early(*given: Any, **more: Any) -> Any:
        return await plain(*given, **{**more, "timeout": 0.01})

    monkeypatch.setattr(asyncio, "wait", early)
    with pytest.raises(ExpiredError):
        asyncio.run(asyncio.wait_for(service.finished(job, lambda: asyncio.Event().wait()), 5))
