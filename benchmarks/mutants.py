"""Do the tests notice mistakes? Random small wrong changes of the mathematics, and the tests run against each.

    python benchmarks/mutants.py run --count 300 --results mutants.jsonl
    python benchmarks/mutants.py run --count 300 --results mutants.jsonl --again     survivors once more, after new tests
    python benchmarks/mutants.py record --count 300 --results mutants.jsonl --out records/mutants.md

Mutants are drawn from schedules, processes, samplers and keyed randomness (`mutating/draw.py`). One is killed when a test
fails or does not end. Survivors that change no behaviour are listed in `mutants.toml`, each with the reason. `run` goes on
where it stopped.
"""

import argparse
import json
import shlex
import sys
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from mutating.bench import Bench, Outcome
from mutating.draw import Mutant, draw
from resume import ROOT, machine

TESTS = {
    "core": ("random", "wiener", "sampler_distribution"),
    "schedules": ("schedules", "processes", "grids", "predictions", "levels", "sampler_order"),
    "processes": ("processes", "tokens", "predictions", "denoisers", "registries", "sampler_distribution"),
    "samplers": (
        "grids", "tokens", "sampler_order", "picard", "sampler_distribution", "solver", "consistency", "registries", "plan",
        "moment_matching", "sampler_reference",
    ),
}  # fmt: skip
"""Of each folder, what tests it: the fastest and most telling first."""
PATTERNS = ("pellucid/core/random*.py", "pellucid/schedules/*.py", "pellucid/processes/*.py", "pellucid/samplers/*.py")
Key = tuple[str, str, str]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="Change the mathematics at random, and see whether a test fails.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    record = commands.add_parser("record")
    for command in (run, record):
        command.add_argument("--count", type=int, default=300, help="mutants")
        command.add_argument("--seed", type=int, default=0, help="of the choice")
        command.add_argument("--results", type=Path, required=True, help="a file of JSON lines")
    run.add_argument("--again", action="store_true", help="try survivors that are not known as equivalent once more")
    run.add_argument("--minutes", type=float, default=float("inf"), help="after which to stop, to go on another time")
    record.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    chosen = draw(ROOT, PATTERNS, asked.count, asked.seed)
    if asked.command == "run":
        run_all(asked, chosen)
    else:
        sys.exit(told(asked, chosen))


def run_all(asked: argparse.Namespace, chosen: list[Mutant]) -> None:
    """What has no result yet, one after another."""
    rows, reasons, until = read(asked.results), equivalents(), monotonic() + 60 * asked.minutes
    over = {key for key, row in rows.items() if asked.again and row["result"] == "survived" and key not in reasons}
    open_ones = [mutant for mutant in chosen if mutant.key not in rows or mutant.key in over]
    with TemporaryDirectory() as folder:
        bench, limits, began = Bench(ROOT, Path(folder)), dict[str, float](), monotonic()
        for number, mutant in enumerate(open_ones):
            if monotonic() > until:
                break
            kind = folder_of(mutant)
            limits[kind] = limits.get(kind) or baseline(bench, kind)
            found = bench.tried(mutant, tests(kind), limits[kind])
            write(asked.results, mutant, found)
            left = (monotonic() - began) / (number + 1) * (len(open_ones) - number - 1) / 60
            tell(f"{number + 1} of {len(open_ones)}, {left:.0f} min left: {found.result} in {found.seconds:.0f} s: "
                 f"{mutant.file}: {mutant.after}")  # fmt: skip


def baseline(bench: Bench, kind: str) -> float:
    """The limit for a folder's mutants, from what its tests take without one; they have to pass."""
    found = bench.run(tests(kind), 3600)
    if found.result != "survived":
        raise SystemExit(f"the tests of {kind} fail without a mutant: {found.by}")
    tell(f"{kind}: {found.seconds:.0f} s without a mutant")
    return max(120.0, 3 * found.seconds)


def tests(kind: str) -> list[str]:
    return [f"tests/test_{name}.py" for name in TESTS[kind]]


def folder_of(mutant: Mutant) -> str:
    return Path(mutant.file).parts[1]


def read(path: Path) -> dict[Key, Row]:
    """The last result of each mutant."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {key_of(row): row for row in map(json.loads, lines)}


def key_of(row: Row) -> Key:
    return row["file"], row["before"], row["after"]


def write(path: Path, mutant: Mutant, found: Outcome) -> None:
    row = {"file": mutant.file, "before": mutant.before, "after": mutant.after, **vars(found)}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def equivalents() -> dict[Key, str]:
    """Mutants that change no behaviour, and why."""
    listed = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text(encoding="utf-8")).get("equivalent", [])
    return {key_of(row): row["why"] for row in listed}


def told(asked: argparse.Namespace, chosen: list[Mutant]) -> int:
    """The record, as Markdown; 1 if a mutant lacks a result or fewer than 90% of those that matter are killed."""
    rows, reasons = read(asked.results), equivalents()
    tried = [rows[mutant.key] for mutant in chosen if mutant.key in rows]
    alive = [row for row in tried if row["result"] == "survived"]
    holes = [row for row in alive if key_of(row) not in reasons]
    found = as_markdown(asked, tried, alive, reasons)
    if asked.out is not None:
        asked.out.write_text(found, encoding="utf-8")
    print(found)
    return int(len(tried) < asked.count or len(holes) > 0.1 * len(tried))


def as_markdown(
    asked: argparse.Namespace, tried: list[Row], alive: list[Row], reasons: dict[Key, str]
) -> str:
    command = shlex.join(
        ["python", "benchmarks/mutants.py", "run", "--count", f"{asked.count}", "--results", "mutants.jsonl"]
    )
    holes = sum(key_of(row) not in reasons for row in alive)
    kinds = {kind: [row for row in tried if Path(row["file"]).parts[1] == kind] for kind in TESTS}
    lines = [f"| {kind} | {share(found)} |" for kind, found in kinds.items() if found]
    return "\n".join([
        "# Mutants",
        "",
        f"{len(tried)} random mutants of schedules, processes, samplers and keyed randomness, of {asked.count} drawn with "
        f"seed {asked.seed}: {len(tried) - len(alive)} killed, {len(alive)} survived, of which {holes} change behaviour.",
        "",
        f"- command: `{command}`, then `record` with `--out records/mutants.md`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- time: {sum(row['seconds'] for row in tried) / 60:.0f} min, one process",
        "",
        "| folder | killed | of | share |",
        "| --- | --- | --- | --- |",
        *lines,
        "",
        "## Survivors",
        "",
        *(survivor(row, reasons) for row in sorted(alive, key=lambda row: str(row["file"]))),
    ])  # fmt: skip


def share(rows: Iterable[Row]) -> str:
    """Cells of the table: killed, of how many, and the share."""
    results = [row["result"] for row in rows]
    killed = sum(result != "survived" for result in results)
    return f"{killed} | {len(results)} | {killed / max(1, len(results)):.0%}"


def survivor(row: Row, reasons: dict[Key, str]) -> str:
    why = reasons.get(key_of(row))
    verdict = f"equivalent: {why}" if why else "**NOT KILLED**"
    return f"{row['file']}, {verdict}\n\n```diff\n- {row['before']}\n+ {row['after']}\n```\n"


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
