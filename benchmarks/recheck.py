"""`make recheck`: every number in expected.toml is measured again, one by one; one that has drifted fails.

    python benchmarks/recheck.py                  all that is not known yet of this state of the package
    python benchmarks/recheck.py WORD ...         those with a word in their name
    python benchmarks/recheck.py --again          whatever is known
    python benchmarks/recheck.py --learn WORD     the intervals, from several seeds, written into expected.toml

An interval is where 95% of other seeds lie: the mean m of k seeds, and to either side t s sqrt(1 + 1/k), with s their
standard deviation and t Student's for k - 1 degrees of freedom. The seed that is checked is one of them, and randomness is
keyed, so without a change the number is the same but for rounding: what leaves the interval is a change that another seed
could not have made. Numbers are kept in build/recheck.json with a hash of the package and of what was asked for; a change of
either measures them anew, and after an interruption the rest goes on.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from math import inf, sqrt
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any

import torch
from checks import CHECKS
from resume import ROOT
from scipy.stats import t as student

from pellucid.core.files import atomic_write

TABLE = Path(__file__).with_name("expected.toml")
RESULTS = ROOT / "build" / "recheck.json"
FEWEST = 1e-9
"""Half of the least interval, relative to the mean: what rounding may change of a number that no seed changes."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """A line of expected.toml.

    Attributes:
        check: the function of checks.py, and `settings` what it is called with.
        low, high: the interval, and `seconds` what a measurement took.
        quick: whether it is part of the tests.
    """

    name: str
    check: str
    settings: dict[str, Any] = field(default_factory=dict)
    low: float = -inf
    high: float = inf
    seconds: float = 0.0
    quick: bool = False
    spread: str = ""

    def measure(self, seed: int = 0) -> float:
        return CHECKS[self.check](seed, **self.settings)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def learned(self) -> bool:
        return bool(self.spread)

    @property
    def call(self) -> str:
        """As it would be written in Python, for a seed."""
        return f"checks.{self.check}({', '.join(['0', *(f'{name}={value!r}' for name, value in self.settings.items())])})"


@dataclass
class Results:
    """Values and seconds by what was asked for, in a file that is whole at any moment."""

    file: Path
    found: dict[str, tuple[float, float]]

    @classmethod
    def open(cls, file: Path) -> "Results":
        return cls(file, json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {})

    def __call__(self, number: Number, seed: int = 0) -> tuple[float, float]:
        """The value and what it took, measured unless it is known."""
        if not self.knows(number, seed):
            began = perf_counter()
            value = number.measure(seed)
            self.found[_asked(number, seed)] = (value, perf_counter() - began)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.file) as temporary:
                temporary.write_text(json.dumps(self.found, indent=1), encoding="utf-8")
        value, seconds = self.found[_asked(number, seed)]
        return value, seconds

    def knows(self, number: Number, seed: int = 0) -> bool:
        return _asked(number, seed) in self.found

    def forget(self, number: Number) -> None:
        self.found.pop(_asked(number, 0), None)


def _asked(number: Number, seed: int) -> str:
    """What a value is kept under."""
    asked = json.dumps([package(), number.check, number.settings, seed], sort_keys=True)
    return sha256(asked.encode()).hexdigest()[:20]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the expected numbers again.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="numbers with one of these in their name")
    parser.add_argument("--again", action="store_true", help="also what is known of this state of the package")
    parser.add_argument("--learn", action="store_true", help="measure the intervals instead")
    parser.add_argument("--seeds", type=int, default=5, help="of --learn")
    parser.add_argument("--quick", action="store_true", help="those alone that are part of the tests")
    parser.add_argument("--table", type=Path, default=TABLE, help="the expected numbers")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where what is measured is kept")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)  # a sum's last bit may depend on it
    numbers = [one for one in read(asked.table) if not asked.words or any(word in one.name for word in asked.words)]
    numbers = [one for one in numbers if one.quick or not asked.quick]
    if not numbers:
        print(f"no number in {asked.table.name} has {' or '.join(asked.words) or 'quick'} in its name", file=sys.stderr)
        return 2
    results = Results.open(asked.results)
    if asked.learn:
        return learn(numbers, results, asked.seeds, asked.table)
    for number in numbers if asked.again else ():
        results.forget(number)
    return recheck([number for number in numbers if number.learned], results, sum(not number.learned for number in numbers))


def read(table: Path = TABLE) -> list[Number]:
    """All lines."""
    return [Number(**line) for line in tomllib.loads(table.read_text(encoding="utf-8"))["number"]]


def recheck(numbers: Sequence[Number], results: Results, unlearned: int = 0) -> int:
    """Print each number with its interval and verdict; 1 if one has drifted."""
    drifted = []
    for place, number in enumerate(numbers):
        left = sum(one.seconds for one in numbers[place:] if not results.knows(one)) / 60
        print(f"[{place + 1}/{len(numbers)}, about {left:.1f} minutes left] {number.name}", file=sys.stderr, flush=True)
        value, _ = results(number)
        between = f"{number.low:.5g} to {number.high:.5g}"
        verdict = "as expected" if number.holds(value) else "DRIFTED"
        print(f"{number.name:<34} {value:>11.5g}  in {between}  {verdict}", flush=True)
        if not number.holds(value):
            drifted.append(f"drifted: {number.name} is {value:.5g}, expected {between}: {number.call}")
    for line in drifted:
        print(line, file=sys.stderr)
    rest = f"; {unlearned} have no interval yet: see --learn" if unlearned else ""
    print(f"{len(numbers) - len(drifted)} of {len(numbers)} as expected{rest}")
    return 1 if drifted else 0


def learn(numbers: Iterable[Number], results: Results, seeds: int, table: Path) -> int:
    """Measure the intervals and write them into the table, one by one."""
    for number in numbers:
        found = [results(number, seed) for seed in range(seeds)]
        low, high, spread = interval([value for value, _ in found])
        seconds = max(seconds for _, seconds in found)
        lines = f"low = {low:.6g}", f"high = {high:.6g}", f"seconds = {seconds:.1f}", f'spread = "{spread}"'
        with atomic_write(table) as temporary:
            temporary.write_text(with_lines(table.read_text(encoding="utf-8"), number.name, lines), encoding="utf-8")
        print(f"{number.name}: {spread}, so {low:.6g} to {high:.6g}", flush=True)
    return 0


def with_lines(text: str, name: str, lines: Sequence[str]) -> str:
    """The table's text in which what was learned of a number is these lines, the last of its block."""
    start = text.index(f'name = "{name}"\n')
    block = text[start:].partition("\n\n")[0]
    names = [line.partition(" ")[0] for line in lines]
    kept = [line for line in block.rstrip("\n").split("\n") if line.partition(" ")[0] not in names]
    return text[:start] + "\n".join([*kept, *lines]) + text[start + len(block.rstrip("\n")) :]


def interval(values: Sequence[float]) -> tuple[float, float, str]:
    """Where 95% of other seeds lie, and the spread in words."""
    mean, apart, count = fmean(values), stdev(values), len(values)
    half = max(float(student.ppf(0.975, count - 1)) * apart * sqrt(1 + 1 / count), FEWEST * abs(mean))
    return mean - half, mean + half, f"{mean:.4g} ± {apart:.2g} over {count} seeds"


@cache
def package() -> str:
    """A hash of all that a number can depend on: sources, settings and weights of the package, and the checks."""
    found = sha256()
    for file in sorted([*(ROOT / "pellucid").rglob("*.*"), Path(__file__).with_name("checks.py")]):
        if file.suffix in (".py", ".toml", ".safetensors"):
            found.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
