"""Noise levels by design: fixed distributions, adaptive ones and a learned schedule, at equal cost on several data sets.

    noise_design.py measure DATA [DATA ...] --minutes 2 --out FOLDER [--seeds 2] [-n 1000]
    noise_design.py record FOLDER --out records/noise-design.md

For each data set `pellucid compare` trains the methods in benchmarks/methods named times-* and schedule-*, and then a
schedule that was learned: the one in the card of the first adaptive run, with uniform times on it. That run's own cost is
not counted in the learned schedule's. All sample by the same sampler in as many steps.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import tomli_w
from resume import machine

from pellucid.cli.compare import _Display
from pellucid.comparison.compare import compare
from pellucid.comparison.comparison import Comparison
from pellucid.core.files import atomic_write
from pellucid.model.files import read_model

METHODS = Path(__file__).parent / "methods"
FIXED = sorted(path for kind in ("times", "schedule") for path in METHODS.glob(f"{kind}-*.toml"))
ADAPTIVE, LEARNED = "times-adaptive", "schedule-learned"


def main() -> None:
    asked = _arguments()
    {"measure": _measure, "record": _record}[asked.command](asked)


def _measure(asked: argparse.Namespace) -> None:
    for data in asked.data:
        out = asked.out / data.stem
        _compared(asked, data, out / "fixed", FIXED)
        _, _, card, _ = read_model(out / "fixed" / ADAPTIVE / "seed-0")
        values = {"schedule": {"name": "learned", "knots": card["learned_schedule"]}, "loss": {"times": {"name": "uniform"}}}
        with atomic_write(out / f"{LEARNED}.toml") as temporary:
            temporary.write_text(tomli_w.dumps(values), encoding="utf-8")
        _compared(asked, data, out / "learned", [out / f"{LEARNED}.toml"])


def _compared(asked: argparse.Namespace, data: Path, out: Path, methods: list[Path]) -> Comparison:
    display = _Display(quiet=False)
    try:
        return compare(
            data, out, methods=[str(path) for path in methods], minutes=asked.minutes, seeds=asked.seeds, n=asked.n,
            settings=["data.condition=none"], observer=display,
        )  # fmt: skip
    finally:
        display.close()


def _record(asked: argparse.Namespace) -> None:
    text = "\n".join(_lines(asked.folder))
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def _lines(folder: Path) -> list[str]:
    lines = ["# Noise by design", "", "Fréchet distances at equal cost, the mean and each seed."]
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        outcomes = [one for part in ("fixed", "learned") for one in _outcomes(place / part)]
        names, first = list(dict.fromkeys(one["method"] for one in outcomes)), outcomes[0]
        floor, features = first["metrics"]["frechet"]["floor"], first["features"]
        lines += [
            "", f"## {place.name}: {first['n']:,} samples, features '{features}', real against real {floor:.3g}", "",
            "| noise levels | samples seen | mean | each seed | over the default's (times-mode) |", "|---|---|---|---|---|",
        ]  # fmt: skip
        found = {name: [one["metrics"]["frechet"]["value"] for one in outcomes if one["method"] == name] for name in names}
        for name in sorted(found, key=lambda name: fmean(found[name])):
            seen = next(one["samples_seen"] for one in outcomes if one["method"] == name)
            each = ", ".join(f"{value:.2f}" for value in found[name])
            ratio = fmean(found[name]) / fmean(found["times-mode"])
            lines.append(f"| {name} | {seen:,} | {fmean(found[name]):.2f} | {each} | {ratio:.2f} |")
    minutes = json.loads((place / "fixed" / "comparison.json").read_text(encoding="utf-8"))["minutes"]
    return [*lines, "", f"- each training cost {minutes:g} minutes; command: in the docstring of benchmarks/noise_design.py",
            f"- date: {datetime.now(UTC):%Y-%m-%d}", *machine(), ""]  # fmt: skip


def _outcomes(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "outcomes.json").read_text(encoding="utf-8"))["outcomes"]
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare ways of drawing noise levels at equal cost.")
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="train and measure; a second call goes on")
    measuring.add_argument("data", type=Path, nargs="+")
    measuring.add_argument("--minutes", type=float, default=2.0, help="cost of each training")
    measuring.add_argument("--seeds", type=int, default=2)
    measuring.add_argument("-n", type=int, default=1000)
    measuring.add_argument("--out", type=Path, required=True)
    recording = commands.add_parser("record", help="write the record")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--out", type=Path, default=Path("records/noise-design.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
