"""Whether pictures match their words: phrasings that training never saw, judged by a network that never saw a generator.

    words.py train   --dir DIR [--minutes 10]         the network of retrieval.py, on all emoji but those asked about
    words.py measure MODEL --dir DIR                  a picture for every phrasing; guidance and steps; near-copies
    words.py sheets  MODEL --dir DIR                  the prompts of prompts/, to be looked at
    words.py record  --dir DIR --out records/words.md --sheet TEXT --combinations TEXT

A picture is right if its concept is among the ten nearest of all in the other style. The ceiling is what real Noto pictures
of the same emoji reach among real Twemoji ones. Phrasings: prompts/held-out.tsv, 100 emoji in English and in Chinese.
"""

import argparse
import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from panels import stacked
from PIL import Image as Pillow
from resume import machine
from retrieval import Gallery, Retrieval, concept, directions, pairs, train
from safetensors.torch import load_file
from torch import Tensor

from pellucid.core.files import atomic_write
from pellucid.evaluation.chart import Series
from pellucid.model.model import Model

DATA = Path(__file__).parents[1] / "data" / "emoji"
PHRASINGS = Path(__file__).parent / "prompts" / "held-out.tsv"
TOP = 10
BARS = {"english": 0.7, "chinese": 0.6}
LINES = {"line": "dark", "early": "light", "floor": "dashed"}
LANGUAGES = ("english", "chinese")
COPY = 1 / 3
"""A picture is a near-copy if the nearest training picture is at most so far as a part of the distance to the nearest of
another emoji (Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail to memorize", section 3)."""


def main() -> None:
    asked = _arguments()
    {"train": _train, "measure": _measure, "sheets": _sheets, "record": _record}[asked.command](asked)


def phrasings() -> list[dict[str, str]]:
    """Rows of code, label, english, chinese."""
    with PHRASINGS.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def _train(asked: argparse.Namespace) -> None:
    noto, twemoji, codes = pairs(DATA)
    held_out = {concept(row["code"]) for row in phrasings()}
    rows = [row for row, code in enumerate(codes) if concept(code) not in held_out]
    asked.dir.mkdir(parents=True, exist_ok=True)
    file = asked.dir / "retrieval.safetensors"
    train(noto[rows], twemoji[rows], [codes[row] for row in rows], file, minutes=asked.minutes)
    print(json.dumps(Judge.open(asked.dir).ceiling()))


class Judge:
    """The retrieval network, its gallery of Twemoji and the training pictures."""

    def __init__(self, network: Retrieval) -> None:
        self.network = network
        self.noto, self.twemoji, self.codes = pairs(DATA)
        self.concepts = np.array([concept(code) for code in self.codes])
        self.gallery = Gallery(directions(network, self.twemoji), self.concepts)
        self.wanted = [concept(row["code"]) for row in phrasings()]

    @classmethod
    def open(cls, folder: Path) -> "Judge":
        network = Retrieval()
        network.load_state_dict(load_file(folder / "retrieval.safetensors"))
        return cls(network.eval())

    def ceiling(self) -> dict[str, float]:
        """Of real Noto pictures."""
        rows = [self.codes.index(row["code"]) for row in phrasings()]
        return self.score(self.noto[rows])

    def score(self, pictures: Tensor) -> dict[str, float]:
        """Shares of pictures (100, 3, 64, 64), one for each phrasing, whose concept is found."""
        ranks = self.gallery.ranks(directions(self.network, pictures), self.wanted)
        return {"top1": float((ranks < 1).mean()), "top10": float((ranks < TOP).mean())}

    def copies(self, pictures: Tensor) -> float:
        """Share of near-copies of training pictures."""
        known = torch.cat([self.noto, self.twemoji]).flatten(1)
        concepts = np.concatenate([self.concepts, self.concepts])
        distances = torch.cdist(pictures.flatten(1), known)
        nearest = distances.argmin(1).numpy()
        others = torch.from_numpy(concepts[None] != concepts[nearest][:, None])
        next_best = torch.where(others, distances, torch.inf).amin(1)
        return float((distances.amin(1) < COPY * next_best).double().mean())


def _measure(asked: argparse.Namespace) -> None:
    judge, model, rows = Judge.open(asked.dir), Model.load(asked.model), phrasings()
    found: dict[str, Any] = {"ceiling": judge.ceiling(), "card": model.card, "tries": []}
    for steps, guidance in asked.grid:
        for language in LANGUAGES:
            prompts = [row[language] for row in rows]
            made = model.sample(len(rows), prompt=prompts, label="noto", steps=steps, guidance=guidance, seed=asked.seed)
            pictures = model.modality.decode(model.modality.encode(made.data))
            result = {"language": language, "steps": steps, "guidance": guidance, "nfe": made.nfe,
                      **judge.score(pictures), "copies": judge.copies(pictures)}
            found["tries"].append(result)
            print(json.dumps(result), flush=True)
            made.save(asked.dir / f"{language}-{steps}-{guidance:g}.png")
    with atomic_write(asked.dir / "measured.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _sheets(asked: argparse.Namespace) -> None:
    model, folder = Model.load(asked.model), PHRASINGS.parent
    with (folder / "combinations.tsv").open(encoding="utf-8", newline="") as lines:
        combinations = [row["prompt"] for row in csv.DictReader(lines, delimiter="\t")]
    sheet = (folder / "sheet.txt").read_text(encoding="utf-8").splitlines()
    for name, prompts, steps in (("sheet", sheet, 50), ("combinations", combinations, 50)):
        for style in model.facts.labels:
            made = model.sample(len(prompts), prompt=prompts, label=style, steps=steps, guidance=asked.guidance)
            made.save(asked.dir / f"{name}-{style}.png")


def _record(asked: argparse.Namespace) -> None:
    found = json.loads((asked.dir / "measured.json").read_text(encoding="utf-8"))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.with_suffix(".svg").write_text(drawn(found), encoding="utf-8")
    text = as_markdown(found, asked.out.with_suffix(".svg").name)
    for name, seen in (("sheet", asked.sheet), ("combinations", asked.combinations)):
        picture = asked.out.with_name(f"words-{name}.webp")
        with Pillow.open(asked.dir / f"{name}-noto.png") as opened:
            opened.convert("RGB").save(picture, quality=85)
        text += f"\n## {name.capitalize()}\n\n{seen}\n\n![{name}]({picture.name})\n"
    asked.out.write_text(text, encoding="utf-8")


def drawn(found: dict[str, Any]) -> str:
    """Share of the ceiling against guidance, one chart for each language, a line for each number of steps."""
    charts = {}
    for language in LANGUAGES:
        tries = [one for one in found["tries"] if one["language"] == language]
        series = []
        for steps, style in zip(sorted({one["steps"] for one in tries}), LINES, strict=False):
            shares = {one["guidance"]: one["top10"] / found["ceiling"]["top10"] for one in tries if one["steps"] == steps}
            x = np.array(sorted(shares))
            series.append(Series(x=x, y=np.array([100 * shares[guidance] for guidance in x]), style=style, label=str(steps)))
        lines = ", ".join(f"{one.label} steps {LINES[one.style]}" for one in series)
        charts[f"{language}, % of the ceiling: {lines}"] = (series, False)
    return stacked(charts, x_label="guidance")


def as_markdown(found: dict[str, Any], chart: str) -> str:
    ceiling = found["ceiling"]
    best = {language: max((one for one in found["tries"] if one["language"] == language), key=lambda one: one["top10"])
            for language in LANGUAGES}  # fmt: skip
    claims = [
        f"- {language}: {best[language]['top10'] / ceiling['top10']:.0%} of the ceiling; at least {BARS[language]:.0%}: "
        f"**{'yes' if best[language]['top10'] >= BARS[language] * ceiling['top10'] else 'NO'}**" for language in LANGUAGES
    ]  # fmt: skip
    return "\n".join([
        "# Pictures from words: do they match?",
        "",
        *claims,
        "",
        "100 emoji, each asked for in a phrasing that training never saw (benchmarks/prompts/held-out.tsv); found if the "
        f"concept is among the ten nearest of all. Ceiling, real Noto among real Twemoji: {ceiling['top10']:.0%} (first of "
        f"all: {ceiling['top1']:.0%}). Near-copies: {COPY:.2f} of the distance to the next emoji or less.",
        "",
        "| language | steps | guidance | among ten | of the ceiling | first | near-copies |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {one['language']} | {one['steps']} | {one['guidance']:g} | {one['top10']:.0%} "
            f"| {one['top10'] / ceiling['top10']:.0%} | {one['top1']:.0%} | {one['copies']:.0%} |" for one in found["tries"]
        ),
        "",
        f"![Share of the ceiling against guidance]({chart})",
        "",
        f"- model: {found['card'].get('samples_seen', 0):,} samples seen, seed {found['card'].get('seed', 0)}",
        "- commands: in the docstring of benchmarks/words.py",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        "",
    ])  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure whether pictures match their words.")
    commands = parser.add_subparsers(dest="command", required=True)
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--dir", type=Path, required=True, help="where the network and results are kept")
    training = commands.add_parser("train", parents=[places], help="train the retrieval network")
    training.add_argument("--minutes", type=float, default=10.0)
    measuring = commands.add_parser("measure", parents=[places], help="measure a model")
    measuring.add_argument("model", type=Path)
    looking = commands.add_parser("sheets", parents=[places], help="draw what is to be looked at")
    looking.add_argument("model", type=Path)
    looking.add_argument("--guidance", type=float, default=None)
    recording = commands.add_parser("record", parents=[places], help="write the record")
    recording.add_argument("--out", type=Path, default=Path("records/words.md"))
    recording.add_argument("--sheet", required=True, help="what whoever looked at the 24 prompts saw")
    recording.add_argument("--combinations", required=True, help="and at the 50 combinations, counted")
    measuring.add_argument("--seed", type=int, default=0)
    measuring.add_argument("--grid", nargs="+", type=_try, default=[(20, 3.0)], metavar="STEPS:GUIDANCE")
    return parser.parse_args()


def _try(text: str) -> tuple[int, float]:
    steps, _, guidance = text.partition(":")
    return int(steps), float(guidance)


if __name__ == "__main__":
    main()
