"""Generated films: do they move as the data does, how far are they from it, do they go on, and what frames cost.

    films.py RUN --out records/films.md [-n 512]

RUN was trained on the data set `animated_emoji`. Motion is the mean root mean square from frame to frame
(metrics/motion.py), of what is generated, of the data, and of both with the frames of each film in random order. Distances
are in the features of the classifier that `pellucid evaluate` trains on the data's labels, all frames of a film at once.
Films that go on are looked at window by window. Cost is of one and the same window: all its frames at once, half of them
given the others, and one after the other. Beside the record lie a sheet and an .mp4 of the first films.
"""

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from resume import machine

from pellucid.core.files import atomic_write
from pellucid.evaluation.choose import choose_network
from pellucid.evaluation.evaluate import evaluate
from pellucid.evaluation.evaluation import Evaluation
from pellucid.evaluation.network import FeatureNetwork
from pellucid.evaluation.source import opened
from pellucid.metrics.motion import motion, shuffled
from pellucid.modalities.video import Video
from pellucid.model.filling import fill
from pellucid.model.model import Model
from pellucid.training.measure import run_data

NEAR, ORDERED = 0.2, 0.5
"""Of the data's motion; of that of shuffled frames."""
SHOWN, LATER = 12, (0, 16, 32)
"""Films that are shown; frames after which windows are looked at again."""
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure generated films.")
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=512)
    parser.add_argument("--rolled", type=int, default=64, help="films that go on")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--guidance", type=float, default=None)
    parser.add_argument("--out", type=Path, default=Path("records/films.md"))
    asked = parser.parse_args()
    began, model = perf_counter(), Model.load(asked.run)
    assert isinstance(model.modality, Video)
    settings: dict[str, Any] = {"steps": asked.steps, "guidance": asked.guidance}
    settings = {name: value for name, value in settings.items() if value is not None}
    found = evaluate(model, run_data(asked.run), n=asked.n, features="classifier", **settings)
    with opened(run_data(asked.run), model) as source:
        network = choose_network("classifier", source)
        real = np.concatenate([block.numpy() for block in source.blocks(source.choose(asked.n, 1))])
    later = list(_later(model, found, asked.rolled, settings, network))
    model.modality.write(found.samples.data[:SHOWN], asked.out.with_suffix(".png"))
    model.modality.write(found.samples.data[:SHOWN], asked.out.with_suffix(".mp4"))
    lines = _lines(asked, model, found, real, later, _costs(model, found, settings))
    with atomic_write(asked.out) as temporary:
        temporary.write_text("\n".join([*lines, f"- time: {perf_counter() - began:.0f} s", ""]), encoding="utf-8")
    print("\n".join(lines))


def _later(
    model: Model, found: Evaluation, count: int, settings: dict[str, Any], network: FeatureNetwork
) -> Iterator[tuple[int, float, float]]:
    """Of the first `count` films, and of windows so many frames later: motion, and the share whose class is recognised."""
    labels = [str(label) for label in found.samples.labels or ()][:count]
    prompts = list(found.samples.prompts or ())[:count] or None
    first = model.modality.encode(found.samples.data[:count]).astype(np.float64)
    films = []
    for index in range(count):
        known = np.concatenate([first[index], np.full((first.shape[1], LATER[-1], *first.shape[3:]), np.nan)], axis=1)
        prompt = prompts and prompts[index]
        films.append(fill(model, known, n=1, seed=index, label=labels[index], prompt=prompt, **settings)[0])
    whole = model.modality.decode(np.stack(films))
    asked = np.array([network.names.index(label) for label in labels])
    for after in LATER:
        window = whole[:, :, after : after + model.facts.shape[1]]
        yield after, float(motion(window).mean()), float((network.classes(window) == asked).mean())


def _costs(model: Model, found: Evaluation, settings: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds of a window's frames, made in several ways in turn, each once before it counts."""
    _, length, *_ = model.facts.shape
    whole = model.modality.encode(found.samples.data[:1])[0].astype(np.float64)
    asked = {name: told[0] for name, told in (("label", found.samples.labels), ("prompt", found.samples.prompts)) if told}
    settings = {**settings, **asked}

    def made(first: int, new: int) -> None:
        """Frames from `first` on, `new` at a time."""
        for start in range(first, length, new):
            given = whole.copy()
            given[:, start:] = np.nan
            fill(model, given, n=1, **settings)

    ways: dict[str, Callable[[], object]] = {
        "all at once": lambda: model.sample(1, **settings),
        "half, given the other half": lambda: made(length // 2, length // 2),
        "one after the other, given the first": lambda: made(1, 1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            start = perf_counter()
            way()
            if turn:
                seconds[name].append(perf_counter() - start)
    return seconds


def _lines(
    asked: argparse.Namespace, model: Model, found: Evaluation, real: NDArray[np.float32],
    later: list[tuple[int, float, float]], costs: dict[str, list[float]],
) -> list[str]:  # fmt: skip
    agreement, frechet, close = (found.metrics[name] for name in ("agreement", "frechet", "closeness"))
    assert isinstance(model.modality, Video)
    made = found.samples.data.numpy()
    ours, theirs, mixed = (float(motion(films).mean()) for films in (made, real, shuffled(made)))
    away, share, length = abs(ours / theirs - 1), ours / mixed, model.facts.shape[1]
    return [
        "# Films", "",
        f"[Twelve of them as a film](films.mp4); [their frames](films.png): {length} frames, "
        f"{length / model.modality.rate:.2f} s.", "",
        f"- Motion from frame to frame {ours:.4f}, of the data {theirs:.4f}: {away:.0%} apart; at most {NEAR:.0%}: "
        f"**{'yes' if away <= NEAR else 'NO'}**",
        f"- Their frames shuffled {mixed:.4f}: {share:.2f} of that; at most {ORDERED}: "
        f"**{'yes' if share <= ORDERED else 'NO'}** (the data's own {theirs / float(motion(shuffled(real)).mean()):.2f})",
        f"- Fréchet distance in the classifier's features {frechet.value:.2f} (95%: {frechet.low:.2f} to "
        f"{frechet.high:.2f}) of {found.n:,}; real against real {frechet.floor:.2f}",
        f"- The classifier recognises {agreement.value:.0%} of them among {len(model.facts.labels)} kinds, of real ones "
        f"{agreement.floor:.0%}" if agreement.floor is not None else "",
        f"- Too close to a training film: {close.value:.1%}, of real ones {close.floor:.1%}", "",
        "| window of films that go on | motion | recognised |", "|---|---|---|",
        *(f"| {f'{after} frames later' if after else 'the first'} | {moved:.4f} | {known:.0%} |"
          for after, moved, known in later), "",
        "| frames of a window | new frames | seconds, each round | seconds a frame |", "|---|---|---|---|",
        *(_row(*one) for one in zip(costs, (length, length // 2, length - 1), costs.values(), strict=True)), "",
        f"- command: `python benchmarks/films.py RUN -n {asked.n}`; the run: `pellucid data fetch animated-emoji`, then "
        f"`pellucid train animated-emoji --out RUN --set modality.stride=4` for {model.card['samples_seen']:,} samples, "
        f"{model.card['minutes']:.0f} minutes",
        f"- sampling: {found.settings}",
        f"- date: {datetime.now(UTC):%Y-%m-%d}", *machine(),
    ]  # fmt: skip


def _row(name: str, frames: int, seconds: list[float]) -> str:
    return f"| {name} | {frames} | {', '.join(f'{one:.1f}' for one in seconds)} | {median(seconds) / frames:.2f} |"


if __name__ == "__main__":
    main()
