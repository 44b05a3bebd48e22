"""A model of texts beside an autoregressive one of equal size and cost, runs of letters, and a program that packs files.

    texts.py autoregressive RUN --validation TEXTS --out AR.safetensors      trains the other on the same data, as long
    texts.py record RUN --other AR.safetensors --held-out TEST --out records/text.md

RUN was trained by `pellucid train bible/train`. Both are asked for the bits of the same windows of TEST, a folder of texts
that neither has seen; a window knows nothing of what is before it. Runs of five letters and xz know all of the training
text and all of the test text before each letter. Samples are drawn in 8 steps and more, and by the other; how varied they
are, how often they repeat themselves and how long a stretch of each stands in the training text is told beside real ones.
"""

import argparse
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from resume import machine
from sides.autoregressive import Trained, bits_per_character, read, train, windows
from sides.compressors import grams, packed

from pellucid.core.files import atomic_write
from pellucid.data.pack import Pack
from pellucid.evaluation.bits import bits_of
from pellucid.metrics import writing_figures
from pellucid.modalities.text import Text
from pellucid.model.model import Model

FACTOR = 1.25
"""Of the other's bits per character."""
STEPS = (8, 16, 32, 64, 128, 256)
SHOWN, REAL = 6, 500


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a model of texts beside others.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("autoregressive")
    training.add_argument("run", type=Path)
    training.add_argument("--validation", type=Path, default=None, help="by which the best weights on the way are chosen")
    training.add_argument("--samples", type=int, default=None, help="fewer than RUN's, of what overfits by then")
    training.add_argument("--out", type=Path, required=True)
    recording = commands.add_parser("record")
    recording.add_argument("run", type=Path)
    recording.add_argument("--other", type=Path, required=True)
    recording.add_argument("--held-out", type=Path, required=True)
    recording.add_argument("-n", type=int, default=200, help="samples of each kind")
    recording.add_argument("--out", type=Path, default=Path("records/text.md"))
    asked = parser.parse_args()
    if asked.command == "autoregressive":
        samples = asked.samples or int(Model.load(asked.run).card["samples_seen"])
        train(asked.run, samples, asked.validation, asked.out)
        return
    lines = list(_record(asked))
    with atomic_write(asked.out) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


def _record(asked: argparse.Namespace) -> Iterator[str]:
    model, other, began = Model.load(asked.run), read(asked.run, asked.other), perf_counter()
    text, pack = model.modality, Pack.open(asked.run / "data")
    assert isinstance(text, Text)
    held_out = windows(text, asked.held_out, model.facts.shape[1])
    whole = ["".join(text.texts(text.decode(stored))) for stored in (pack.samples[:], held_out)]
    ours = bits_of(model, held_out, steps=64)
    theirs, error = _ratio(bits_per_character(other, held_out))
    baselines = {"xz": packed(whole[0], whole[1]), "runs of five letters": grams(whole[0], whole[1])}
    yield "# Texts\n"
    ratio = ours.mean / theirs
    fine = "yes" if ratio <= FACTOR else "NO"
    yield f"- bits per character {ratio:.2f} times those of an autoregressive transformer; at most {FACTOR}: **{fine}**"
    for name, value in baselines.items():
        yield f"- {ours.mean:.3f} bits per character, {name} {value:.3f}; below: **{'yes' if ours.mean < value else 'NO'}**"
    yield f"\n{_about(model, other, pack, len(held_out), len(whole[1]))}\n"
    yield "| | bits per character | 95% interval |\n|---|---|---|"
    yield f"| masked diffusion, a bound at 64 levels | {ours.mean:.3f} | ± {1.96 * ours.standard_error:.3f} |"
    yield f"| autoregressive, exact | {theirs:.3f} | ± {1.96 * error:.3f} |"
    for name, value in baselines.items():
        yield f"| {name} | {value:.3f} | |"
    yield "\n## Samples\n"
    yield from _samples(asked, model, other, pack)
    yield f"\n- time: {perf_counter() - began:.0f} s"
    yield from machine()


def _ratio(bits_and_letters: np.ndarray) -> tuple[float, float]:
    """Bits per letter over all windows, and its standard error."""
    bits, letters = bits_and_letters.T
    mean = float(bits.sum() / letters.sum())
    return mean, float((bits - mean * letters).std(ddof=1)) / sqrt(len(bits)) / float(letters.mean())


def _about(model: Model, other: Trained, pack: Pack, windows: int, letters: int) -> str:
    sizes = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (model.denoiser, other.model)]
    seen, kinds = int(model.card["samples_seen"]), model.facts.categories
    return (
        f"{sizes[0]:.2f}M parameters and {sizes[1]:.2f}M; windows of {model.facts.shape[1]} tokens of {kinds:,} kinds. Ours "
        f"was trained on {seen:,} windows, {seen / len(pack):.1f} times the data, in {model.card['minutes']:.0f} minutes; "
        f"the other's weights are its best by validation, those after {other.seen:,} windows. Measured on {windows:,} "
        f"windows, {letters:,} letters."
    )


def _samples(asked: argparse.Namespace, model: Model, other: Trained, pack: Pack) -> Iterator[str]:
    """A line for each way to draw, and one for real texts; then some to read."""
    data = np.asarray(pack.samples[:, 0], dtype=np.int64)
    ids = pack.spread(REAL)
    yield "| | network calls | " + " | ".join(writing_figures) + " | runs of 4 that differ |"
    yield "|---" * (3 + len(writing_figures)) + "|"
    yield _row("real", 0, data[ids], data, ids)
    for steps in sorted({min(steps, model.facts.shape[1]) for steps in STEPS}):
        made = model.sample(asked.n, steps=steps, seed=1)
        yield _row("masked diffusion", made.nfe, made.data[:, 0].numpy(), data)
    start = torch.full((asked.n, model.facts.shape[1]), -1)
    drawn = other.model.continued(start, torch.Generator().manual_seed(1)).numpy()
    yield _row("autoregressive", model.facts.shape[1], drawn, data)
    text = model.modality
    assert isinstance(text, Text)
    for name, rows in (("Masked diffusion", made.data[:SHOWN, 0].numpy()), ("Autoregressive", drawn[:SHOWN])):
        yield f"\n{name}:\n"
        for words in text.texts(torch.from_numpy(rows)[:, None]):
            yield "```text\n" + words + "\n```\n"


def _row(name: str, calls: int, rows: np.ndarray, data: np.ndarray, own: np.ndarray | None = None) -> str:
    """Means over texts, and the share of runs of four tokens that are said once among all of them."""
    values = [f"{figure(rows, data, own).mean():.3f}" for figure in writing_figures.values()]
    long = (row[row > 0] for row in rows if (row > 0).sum() > 3)
    runs = np.concatenate([np.lib.stride_tricks.sliding_window_view(row, 4) for row in long])
    return f"| {name} | {calls or '–'} | " + " | ".join([*values, f"{len(np.unique(runs, axis=0)) / len(runs):.3f}"]) + " |"


if __name__ == "__main__":
    main()
