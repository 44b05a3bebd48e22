"""A short run of `benchmarks/fuzz.py`: every reader against some cases, in this process; and that findings are found."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from fuzz import Count, as_markdown
from fuzzing import worker
from fuzzing.case import Case, FindingError, Reader
from fuzzing.mutate import mutated
from fuzzing.readers import READERS
from fuzzing.worker import Bench, Outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid.core.errors import UserError

CASES = 24
TEXTS = {"series": ".csv", "texts": ".jsonl", "beside": "metadata.jsonl", "configuration": ".toml", "picture": ".ppm"}
"""Readers of what hypothesis can write, and the suffix under which it does."""


class Odd(Reader):
    """Does what its case says."""

    def seeds(self, folder: Path) -> list[Case]:  # noqa: ARG002
        return [Case(".txt", b"fine")]

    def read(self, case: Case, folder: Path) -> str:
        match case.data:
            case b"refuse":
                raise UserError("no")
            case b"mute":
                raise UserError(" ")
            case b"raise":
                raise KeyError("x")
            case b"wrong":
                raise FindingError("of different shapes")
            case b"outside":
                with suppress(OSError):
                    (folder.parent.parent / "escaped").write_bytes(b"x")
            case b"hang":
                while True:
                    with suppress(Exception):
                        sum(range(1000))
            case b"memory":
                raise MemoryError
        return "read"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that benches may work in, after which all is as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield tmp_path / "bench"


@pytest.mark.parametrize("name", READERS)
def test_every_reader_reads_or_refuses(name: str, place: Path) -> None:
    """Seeded, so the same cases at every run."""
    bench = Bench(READERS[name](), place, None, 0)
    bench.prepare()
    outcomes = [(index, bench.outcome(bench.case(index))) for index in range(CASES)]
    assert [(index, one.kind, one.detail) for index, one in outcomes if one.is_finding] == []
    assert {one.kind for _, one in outcomes} <= {"read", "refused"}


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_are_read_or_refused(name: str, place: Path, data: bytes) -> None:
    place.mkdir(exist_ok=True)
    with suppress(UserError):
        READERS[name]().read(Case(TEXTS[name], data), place)


@pytest.mark.parametrize(("data", "kind"), [
    ("fine", "read"), ("refuse", "refused"), ("mute", "wrong"), ("raise", "error"), ("wrong", "wrong"), ("outside",
    "outside"),
    ("hang", "hang"), ("memory", "memory"),
])  # fmt: skip
def test_what_must_not_happen_is_found(data: str, kind: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SECONDS", 1)
    bench = Bench(Odd(), place, None, 0)
    bench.prepare()
    found = bench.outcome(Case(".txt", data.encode()))
    assert found.kind == kind
    assert found.is_finding == (kind not in ("read", "refused"))
    assert not (place.parent / "escaped").exists()


def test_the_same_seed_makes_the_same_cases(place: Path) -> None:
    """And what reaches new lines is changed further: texts of a reader that has seen none of its own."""
    cases = [Bench(READERS["texts"](), place / str(k), place / f"kept{k}", seed) for k, seed in enumerate((0, 0, 1))]
    found = []
    for bench in cases:
        bench.prepare()
        bench.lines.known.clear()
        bench.lines._left.clear()
        told = bench.outcome(bench.case(0))
        assert told.lines > 10
        bench.keep(bench.case(0), 0)
        found.append([bench.case(index) for index in range(12)])
    assert found[0] == found[1] != found[2]
    again = Bench(READERS["texts"](), place / "again", place / "kept0", 0)
    again.prepare()
    assert [again.case(index) for index in range(12)] == found[0]


def test_changes_keep_to_their_size() -> None:
    rng, case = Random(0), Case(".a", b"0123456789" * 50)
    changed = [mutated(case, [case], (b"word",), (".a", ".b"), rng) for _ in range(300)]
    assert max(len(one.data) for one in changed) <= 1 << 18
    assert sum(one.data != case.data for one in changed) > 250
    assert {one.suffix for one in changed} == {".a", ".b"}
    assert mutated(Case(".a", b""), [], (), (".a",), rng).suffix == ".a"


def test_counts_are_kept_and_told(tmp_path: Path) -> None:
    count = Count()
    for data in (b"1", b"2", b"3", b"4", b"4"):
        count.add(Outcome("error", f"KeyError a.py:1 x{worker.CAUSE}{data!r}"), Case(".csv", data), tmp_path)
    count.add(Outcome("read", "read", 0.25, 3 << 20, 7), Case(".csv", b"5"), tmp_path)
    count.write(tmp_path / "count.json")
    assert Count.read(tmp_path / "count.json") == count
    assert (count.cases, count.kept, len(list((tmp_path / "findings").iterdir()))) == (6, 1, 3)
    told = as_markdown({"series": count})
    assert "6 cases of 1 readers: **1 findings**" in told
    assert "| series | 6 | 1 | 0 | 1 | 0.2 | 3 | 7 | 1 |" in told
    assert "- series: error: KeyError a.py:1 x" in told
