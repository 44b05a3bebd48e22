"""Generated notes: does a classifier of real ones recognise them, are they in tune, how far are they from real ones.

    notes.py RUN --out records/notes.md [-n 1440]

RUN was trained on the data set `notes`, whose labels are instrument and pitch. The classifier is the one that `pellucid
evaluate` trains on the data's labels, on spectrograms; it is right on so many of the real notes that were held out from it.
Pitch is measured by YIN (metrics/pitch.py); errors are in cents from equal temperament, hundredths of a semitone, beside
those of as many real notes.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from resume import machine

from pellucid.core.files import atomic_write
from pellucid.evaluation.evaluate import evaluate
from pellucid.evaluation.evaluation import Evaluation
from pellucid.evaluation.source import opened
from pellucid.known.notes import KEYS
from pellucid.metrics.pitch import cents, pitch
from pellucid.modalities.sound import Sound
from pellucid.model.model import Model
from pellucid.training.measure import run_data

ASKED = 0.8
"""Of the classifier's accuracy on real notes."""
OFF = 50.0
"""Cents from which a note is another one."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure generated notes.")
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=1440)
    parser.add_argument("--guidance", type=float, default=None)
    parser.add_argument("--out", type=Path, default=Path("records/notes.md"))
    asked = parser.parse_args()
    model, began = Model.load(asked.run), perf_counter()
    assert isinstance(model.modality, Sound)
    settings = {} if asked.guidance is None else {"guidance": asked.guidance}
    found = evaluate(model, run_data(asked.run), n=asked.n, features="classifier", **settings)
    labels = [str(label) for label in found.samples.labels or ()]
    ours = _errors(found.samples.data.numpy(), labels, model.modality.rate)
    with opened(run_data(asked.run), model) as source:
        ids = source.choose(asked.n, 1)
        real = np.concatenate([block.numpy() for block in source.blocks(ids)])
        theirs = _errors(real, source.labels(ids), model.modality.rate)
        known = source.labels(ids)
    lines = _lines(asked, model, found, (ours, labels), (theirs, known))
    with atomic_write(asked.out) as temporary:
        temporary.write_text("\n".join([*lines, f"- time: {perf_counter() - began:.0f} s", ""]), encoding="utf-8")
    print("\n".join(lines))


def _errors(sounds: NDArray[np.float32], labels: list[str], rate: int) -> NDArray[np.float64]:
    """Cents from the pitch asked for, (N,)."""
    wanted = np.array([440 * 2 ** ((KEYS[label.rpartition("-")[2]] - 69) / 12) for label in labels])
    return cents(pitch(sounds[:, 0], rate), wanted)


def _lines(
    asked: argparse.Namespace, model: Model, found: Evaluation, ours: tuple[NDArray[np.float64], list[str]],
    theirs: tuple[NDArray[np.float64], list[str]],
) -> list[str]:  # fmt: skip
    agreement, frechet = found.metrics["agreement"], found.metrics["frechet"]
    assert agreement.floor is not None
    share, middle = agreement.value / agreement.floor, [np.nanmedian(np.abs(one[0])) for one in (ours, theirs)]
    rows = [_row("all", *ours, *theirs)]
    rows += [_row(name, *ours, *theirs) for name in sorted({label.rpartition("-")[0] for label in ours[1]})]
    return [
        "# Notes", "",
        f"- The classifier recognises {agreement.value:.1%} of {found.n:,} generated notes among {len(model.facts.labels)} "
        f"labels (95%: {agreement.low:.1%} to {agreement.high:.1%}) and {agreement.floor:.1%} of real ones: {share:.0%} of "
        f"that; at least {ASKED:.0%}: **{'yes' if share >= ASKED else 'NO'}**",
        f"- Median pitch error {middle[0]:.1f} cents; of real notes {middle[1]:.1f}",
        f"- Fréchet distance in the classifier's features {frechet.value:.2f} (95%: {frechet.low:.2f} to "
        f"{frechet.high:.2f}); real against real {frechet.floor:.2f}",
        f"- Too close to a training note: {found.metrics['closeness'].value:.1%}, of real ones "
        f"{found.metrics['closeness'].floor:.1%}", "",
        f"| instrument | median error, cents | another note (over {OFF:.0f} cents) | real: median | real: another |",
        "|---|---|---|---|---|", *rows, "",
        f"- command: `python benchmarks/notes.py RUN -n {asked.n}`; the run: `pellucid data fetch notes`, then `pellucid "
        f"train notes --out RUN` for {model.card['samples_seen']:,} samples, {model.card['minutes']:.0f} minutes",
        f"- sampling: {found.settings}",
        f"- date: {datetime.now(UTC):%Y-%m-%d}", *machine(),
    ]  # fmt: skip


def _row(
    name: str, ours: NDArray[np.float64], labels: list[str], theirs: NDArray[np.float64], known: list[str]
) -> str:
    cells = []
    for errors, told in ((ours, labels), (theirs, known)):
        own = np.abs(errors[[name == "all" or label.startswith(f"{name}-") for label in told]])
        cells += [f"{np.nanmedian(own):.1f}", f"{np.mean(~(own <= OFF)):.1%}"]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
