"""Texts made from texts, beside copying the source, the nearest training sentence, and an autoregressive model.

    texts.py autoregressive RUN --validation DATA/validation --out AR.safetensors      the other model
    answers.py measure RUN --other AR.safetensors --data DATA --out NAME.json [-n 300] [--candidates 8] [--examples 0]
    answers.py record NAME.json --out records/answers-NAME.md

A run that went out from another is written OTHER+RUN, and its minutes and samples are those of both, as many as the other
model may have. DATA is a folder with train and test, as `pellucid data fetch verses|descriptions|replies` makes it; RUN was
trained on its train, or on what `sides/examples.py` makes of it, with as many --examples, and so was the other. Sources that
are in the training data are left out of the test. Both models draw from left to right, at one temperature where one is drawn
and at another where the best of several is taken, which validation chose. What is drawn lies in NAME.drawn.json: `measure`
goes on where it stopped, with the other model drawn last. chrF and BLEU are sacrebleu's, so is the paired
bootstrap of 1,000 samples by which others are compared with ours: p is the share in which they differ by no less by chance.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from resume import machine
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest
from sides.autoregressive import Trained, read
from sides.examples import Pair, read_pairs, similar, with_examples
from sides.legs import legs, spent

from pellucid.core.files import atomic_write
from pellucid.modalities.text import Text
from pellucid.modalities.vocabulary import END
from pellucid.model.answering import answer, likeliest
from pellucid.model.model import Model

OURS, OTHER = "masked diffusion", "autoregressive"
COPY, NEAREST = "the source itself", "the nearest training sentence's target"
OURS_BEST, OTHER_BEST = f"{OURS}, best of several", f"{OTHER}, best of several"
SHOWN, BATCH, CERTAIN = 8, 128, 0.05


def main() -> None:
    asked = _arguments()
    if asked.command == "measure":
        found = measure(asked)
        text = json.dumps(found, indent=1, ensure_ascii=False)
    else:
        text = "\n".join([*_lines(json.loads(asked.json.read_text(encoding="utf-8"))), ""])
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    model = Model.load(asked.run[-1])
    minutes, samples = spent(asked.run)
    train, test = (read_pairs(asked.data / part) for part in ("train", asked.part))
    known = {source for source, _ in train}
    test = [pair for pair in test if pair[0] not in known]
    helped = with_examples(train, test, asked.examples, own=False) if asked.examples else test
    fitting = [place for place, pair in enumerate(helped) if fits(model, pair)]
    chosen = sorted(fitting[i] for i in np.random.default_rng(0).permutation(len(fitting))[: asked.n].tolist())
    sources, targets = zip(*(test[place] for place in chosen), strict=True)
    asking = tuple(helped[place][0] for place in chosen)
    drawn = Drawn(asked.out.with_suffix(".drawn.json"))
    drawn(OURS_BEST, lambda: ours(model, asking, asked.candidates, asked.temperature[1]))
    drawn(OURS, lambda: ours(model, asking, 1, asked.temperature[0]))
    drawn(COPY, lambda: list(sources))
    drawn(NEAREST, lambda: nearest(train, sources))
    other = read(asked.run[-1], asked.other)
    drawn(OTHER_BEST, lambda: theirs(other, asking, asked.candidates, asked.others[1]))
    drawn(OTHER, lambda: theirs(other, asking, 1, asked.others[0]))
    systems = {name: drawn.texts[name] for name in (OURS_BEST, OURS, OTHER_BEST, OTHER, COPY, NEAREST)}
    return {
        "data": asked.data.name, "train": len(train), "n": len(sources), "examples": asked.examples,
        "samples": samples, "minutes": minutes,
        "other": {"seen": other.seen, "trained": other.trained, "minutes": other.minutes},
        "parameters": sum(p.numel() for p in model.denoiser.parameters()),
        "candidates": asked.candidates, "temperatures": {OURS: asked.temperature, OTHER: asked.others},
        "seconds": drawn.seconds, "scores": compared(systems, targets),
        "shown": [{"source": sources[i], "target": targets[i], **{name: texts[i] for name, texts in systems.items()}}
                  for i in range(min(SHOWN, len(sources)))],
    }  # fmt: skip


class Drawn:
    """Texts by the system that they are of, and the seconds that they took, kept in a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.texts, self.seconds = file, dict[str, list[str]](), dict[str, float]()
        if file.is_file():
            self.texts, self.seconds = json.loads(file.read_text(encoding="utf-8"))

    def __call__(self, name: str, draw: Callable[[], list[str]]) -> None:
        """Draw, unless they are known."""
        if name in self.texts:
            return
        began = perf_counter()
        self.texts[name] = draw()
        self.seconds[name] = perf_counter() - began
        print(name, f"{self.seconds[name]:.1f} s", flush=True)
        with atomic_write(self.file) as temporary:
            temporary.write_text(json.dumps([self.texts, self.seconds], ensure_ascii=False), encoding="utf-8")


def fits(model: Model, pair: Pair) -> bool:
    """Into the model's windows."""
    text = model.modality
    assert isinstance(text, Text)
    source, target = (len(text.words.encode(part)) for part in pair)
    return source <= text.sourced and target < model.facts.shape[1] - text.sourced


def ours(model: Model, sources: tuple[str, ...], candidates: int, temperature: float) -> list[str]:
    how = {"name": "reveal", "first": "left", "temperature": temperature}
    made = answer(model, sources, candidates=candidates, seed=1, sampler=how)
    assert isinstance(made.modality, Text)
    return made.modality.texts(made.data)


def theirs(other: Trained, sources: tuple[str, ...], candidates: int, temperature: float) -> list[str]:
    text, length = other.text, other.model.places.num_embeddings
    start = torch.full((len(sources), length), -1)
    for row, source in zip(start, sources, strict=True):
        numbers = text.words.encode(source)
        row[: text.sourced] = torch.tensor([*numbers, *[END] * (text.sourced - len(numbers))])
    start, generator = start.repeat_interleave(candidates, 0), torch.Generator().manual_seed(1)
    parts = (start[first : first + BATCH] for first in range(0, len(start), BATCH))
    made = torch.cat([other.model.continued(part, generator, temperature) for part in parts])
    texts = text.texts(made[:, None])
    blocks = [texts[first : first + candidates] for first in range(0, len(texts), candidates)]
    return [block[likeliest(block)] for block in blocks]


def nearest(train: list[Pair], sources: tuple[str, ...]) -> list[str]:
    """By all runs of letters, the frequent ones too, which is a little better than what is shown as an example."""
    found = similar([source for source, _ in train], sources, 1, own=False, common=1.0)
    return [train[place][1] for (place,) in found]


def compared(systems: dict[str, list[str]], targets: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """chrF and BLEU of each, and the p-value of its difference to the first."""
    metrics = {"chrF": CHRF(), "BLEU": BLEU(effective_order=False)}
    test = PairedTest(list(systems.items()), metrics, [list(targets)], test_type="bs", n_samples=1000)
    scores: Any = test()[1]
    found: dict[str, dict[str, float]] = {name: {} for name in systems}
    for signed, results in scores.items():
        if signed == "System":
            continue
        metric = str(signed).removesuffix("2")  # chrF2
        for name, result in zip(systems, results, strict=True):
            found[name][metric] = float(result.score)
            if result.p_value is not None:
                found[name][f"p {metric}"] = float(result.p_value)
    return found


def _lines(one: dict[str, Any]) -> Iterator[str]:
    yield f"# Texts from texts: {one['data']}\n"
    first, *others = one["scores"].items()
    for rival in (COPY, NEAREST):
        row = dict(others)[rival]
        for metric in ("chrF", "BLEU"):
            above = first[1][metric] > row[metric] and row[f"p {metric}"] < CERTAIN
            yield (
                f"- {metric} {first[1][metric]:.1f}, {rival} {row[metric]:.1f} (p = {row[f'p {metric}']:.3f}); "
                f"significantly above: **{'yes' if above else 'NO'}**"
            )
    other = one["other"]
    yield (
        f"\n{one['n']} test sources{_beside(one['examples'])}; {one['parameters'] / 1e6:.2f}M parameters, trained on "
        f"{one['samples']:,} windows of {one['train']:,} pairs in {one['minutes']:.0f} minutes, the autoregressive model on "
        f"{other['trained']:,} in {other['minutes']:.0f}, of which those weights are taken that are best by validation, "
        f"after {other['seen']:,}. Temperatures, of one and of several: {_named(one['temperatures'])}.\n"
    )
    yield f"Best of {one['candidates']}: the one most like the others.\n"
    yield "| | chrF | BLEU | p of chrF, against the first | p of BLEU | seconds |"
    yield "|---|---|---|---|---|---|"
    for name, row in one["scores"].items():
        chances = " | ".join(f"{row[key]:.3f}" if key in row else "–" for key in ("p chrF", "p BLEU"))
        yield f"| {name} | {row['chrF']:.1f} | {row['BLEU']:.1f} | {chances} | {one['seconds'][name]:.1f} |"
    for shown in one["shown"]:
        yield "\n```text"
        yield from (f"{name:>{max(map(len, shown))}}: {text}" for name, text in shown.items())
        yield "```"
    yield f"\n- commands: in the docstring of benchmarks/answers.py\n- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()


def _beside(examples: int) -> str:
    if not examples:
        return ""
    return f", for both models with the targets of the {examples} most similar sources of train before each"


def _named(temperatures: dict[str, list[float]]) -> str:
    return "; ".join(f"{name} {one:g} and {several:g}" for name, (one, several) in temperatures.items())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure a model that makes texts from texts.")
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="draw and score")
    measuring.add_argument("run", type=legs)
    measuring.add_argument("--other", type=Path, required=True)
    measuring.add_argument("--data", type=Path, required=True)
    measuring.add_argument("--part", default="test", help="validation, where temperatures are chosen")
    measuring.add_argument("--examples", type=int, default=0)
    measuring.add_argument("-n", type=int, default=300)
    measuring.add_argument("--candidates", type=int, default=8)
    measuring.add_argument("--temperature", type=float, nargs=2, default=[0.3, 0.7], metavar=("ALONE", "SEVERAL"))
    measuring.add_argument("--others", type=float, nargs=2, default=[0.01, 0.7], metavar=("ALONE", "SEVERAL"))
    measuring.add_argument("--out", type=Path, required=True)
    recording = commands.add_parser("record", help="write the record")
    recording.add_argument("json", type=Path)
    recording.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
