"""Several modalities at once: is what is drawn right, whatever is given, and does each part alone suffer from the others?

    joint.py split TRAIN --out FOLDER                          the pictures, sounds and texts of TRAIN, apart
    joint.py record RUN --train TRAIN --test TEST --alone PICTURES SOUNDS TEXTS --out records/joint.md [-n 500]

A run that went out from another is written OTHER+RUN, and its minutes and samples are those of both. TRAIN and TEST are
those of `data fetch spoken_digits`; RUN was trained on TRAIN, and each of the three models on the folder of its kind that
`split` makes, the three together for as many minutes. What is given is TEST's, which no model has seen. Digits are told by
classifiers that know nothing of the models: perceptrons on the pixels of TRAIN's pictures and on mel spectrograms of its
sounds; a text is right if it is the word. Distances are Fréchet's, in the last hidden layer of each classifier, to TRAIN;
that of texts is the total variation of words.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from resume import machine
from sides.legs import legs, spent
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pellucid.core.files import atomic_write
from pellucid.core.optional import optional
from pellucid.known.spoken_digits import NAMES
from pellucid.metrics.frechet import Frechet
from pellucid.modalities.joint import Joint
from pellucid.modalities.sonogram import loudness
from pellucid.modalities.text import Text
from pellucid.model.model import Model

PARTS = ("picture", "sound", "text")
SUFFIX = {"picture": ".png", "sound": ".wav", "text": ".txt"}
CHANCE, WANTED, WORSE = 0.1, 5.0, 1.2
"""Of ten digits; times that is asked for; and how much farther from the data a part may be than alone."""
POOL = (4, 4)
Values = NDArray[np.float64]


class Judge:
    """A classifier of one part, and its features."""

    def __init__(self, part: str, folder: Path) -> None:
        self.part = part
        self.network = MLPClassifier((128, 64), alpha=1e-3, early_stopping=True, max_iter=300, random_state=0)
        self.real = seen(part, folder)
        self.scale = float(self.real.std())  # one for all values, so that silence that is nearly silent is not far from it
        self.whole = make_pipeline(StandardScaler(with_std=False), self.network)
        self.real /= self.scale
        self.whole.fit(self.real, words(folder))

    def says(self, folder: Path) -> NDArray[np.str_]:
        """The digit that each sample shows."""
        return np.asarray(self.whole.predict(self.seen(folder)))

    def seen(self, folder: Path) -> Values:
        return seen(self.part, folder) / self.scale

    def features(self, values: Values) -> Values:
        """The last hidden layer."""
        h = self.whole[0].transform(values)
        for weights, bias in zip(self.network.coefs_[:-1], self.network.intercepts_[:-1], strict=True):
            h = np.maximum(h @ weights + bias, 0)
        return np.asarray(h)

    def distance(self, folder: Path) -> float:
        return float(Frechet(resamples=2)(self.features(self.real), self.features(self.seen(folder))).value)


def seen(part: str, folder: Path) -> Values:
    """What a classifier sees of each file, in the order of their names."""
    files = sorted(folder.glob(f"*{SUFFIX[part]}"))
    if part == "picture":
        return np.stack([np.asarray(Image.open(file).convert("L"), dtype=np.float64).ravel() for file in files])
    soundfile = optional("soundfile", "Sound", "sound")
    waves = [soundfile.read(file, dtype="float32") for file in files]
    sounds = torch.from_numpy(np.stack([wave for wave, _ in waves]))[:, None]
    pooled = torch.nn.functional.avg_pool2d(loudness(sounds, waves[0][1]), POOL)
    return pooled.flatten(1).double().numpy()


def words(folder: Path) -> NDArray[np.str_]:
    return np.array([file.read_text(encoding="utf-8").strip() for file in sorted(folder.glob("*.txt"))])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a model of several modalities.")
    commands = parser.add_subparsers(dest="command", required=True)
    splitting = commands.add_parser("split")
    splitting.add_argument("train", type=Path)
    splitting.add_argument("--out", type=Path, required=True)
    recording = commands.add_parser("record")
    recording.add_argument("run", type=legs)
    recording.add_argument("--train", type=Path, required=True)
    recording.add_argument("--test", type=Path, required=True)
    recording.add_argument("--alone", type=legs, nargs=3, required=True, metavar=("PICTURES", "SOUNDS", "TEXTS"))
    recording.add_argument("-n", type=int, default=500)
    recording.add_argument("--out", type=Path, default=Path("records/joint.md"))
    asked = parser.parse_args()
    if asked.command == "split":
        split(asked.train, asked.out)
        return
    lines = list(record(asked))
    with atomic_write(asked.out) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


def split(train: Path, out: Path) -> None:
    """Links to the files of each kind."""
    for part in PARTS:
        (out / part).mkdir(parents=True)
        for file in sorted(train.glob(f"*{SUFFIX[part]}")):
            (out / part / file.name).hardlink_to(file)


def record(asked: argparse.Namespace) -> Iterator[str]:
    costs = [spent(runs) for runs in (asked.run, *asked.alone)]
    model, judges, began = Model.load(asked.run[-1]), {part: Judge(part, asked.train) for part in PARTS[:2]}, perf_counter()
    with TemporaryDirectory() as place:
        rows = list(directions(model, asked.test, asked.n, judges, Path(place)))
        singles = [runs[-1] for runs in asked.alone]
        apart = list(marginals(model, singles, asked.n, judges, asked.train, asked.test, Path(place)))
    worst = min(share for _, shares in rows for share in shares.values())
    factor = max(own / max(alone, floor) for _, own, alone, floor in apart)
    yield "# Several modalities at once\n"
    yield (f"- what was drawn is the digit that was given in at least {worst:.1%} of cases, {worst / CHANCE:.1f} times "
           f"chance, in every direction; at least {WANTED:g}: **{answer(worst >= WANTED * CHANCE)}**")
    yield (f"- a part is at most {factor:.2f} times as far from the data as that of a model of its own, or as TEST where "
           f"that is farther; at most {WORSE:g}: **{answer(factor <= WORSE)}**")
    rights = {part: np.mean(judge.says(asked.test) == words(asked.test)) for part, judge in judges.items()}
    yield f"\n## Any of them given\n\n{asked.n} samples, each given what one of TEST has. On TEST itself the classifiers are"
    yield f"right in {', '.join(f'{right:.1%} ({part}s)' for part, right in rights.items())}.\n"
    yield "| given | " + " | ".join(f"{part} right" for part in PARTS) + " |\n|---" + "|---" * len(PARTS) + "|"
    for given, shares in rows:
        yield f"| {' and '.join(given)} | " + " | ".join(f"{shares[p]:.1%}" if p in shares else "–" for p in PARTS) + " |"
    yield "\n## Each part by itself\n\nDrawn with nothing given, beside models of one kind, whose minutes stand below.\n"
    yield "| | distance, of several | of its own kind alone | real against real |\n|---|---|---|---|"
    for part, own, alone, floor in apart:
        yield f"| {part} | {own:.4g} | {alone:.4g} | {floor:.4g} |"
    minutes = ", ".join(f"{minutes:.0f}" for minutes, _ in costs)
    samples = ", ".join(f"{samples:,}" for _, samples in costs)
    yield f"\n- of this and of {', '.join(PARTS)} alone: minutes of training {minutes}; samples {samples}"
    yield "- command: in the docstring of benchmarks/joint.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}\n- time: {perf_counter() - began:.0f} s"
    yield from machine()


def directions(
    model: Model, test: Path, n: int, judges: dict[str, Judge], place: Path
) -> Iterator[tuple[tuple[str, ...], dict[str, float]]]:
    """What is given, and the share of each other part that is right."""
    modality, stems = model.modality, sorted(file.with_suffix("") for file in test.glob("*.txt"))
    assert isinstance(modality, Joint)
    chosen = [stems[i * len(stems) // n] for i in range(min(n, len(stems)))]
    wanted = np.array([stem.with_suffix(".txt").read_text(encoding="utf-8").strip() for stem in chosen])
    for given in (*combinations(PARTS, 1), *combinations(PARTS, 2)):
        known = torch.stack([modality.known({part: str(stem) + SUFFIX[part] for part in given}) for stem in chosen])
        folder = place / "-".join(given)
        model.sample(len(chosen), known=known, seed=1).save(folder)
        yield given, {part: float(np.mean(said(part, folder, judges) == wanted)) for part in PARTS if part not in given}


def said(part: str, folder: Path, judges: dict[str, Judge]) -> NDArray[np.str_]:
    return words(folder) if part == "text" else judges[part].says(folder)


def marginals(
    model: Model, alone: Sequence[Path], n: int, judges: dict[str, Judge], train: Path, test: Path, place: Path
) -> Iterator[tuple[str, float, float, float]]:
    """Each part, its distance in samples of several and in those of its own model, and that of TEST."""
    together = place / "together"
    model.sample(n, seed=2).save(together)
    for part, path in zip(PARTS, alone, strict=True):
        single = place / f"alone-{part}"
        made = Model.load(path).sample(n, seed=2)
        if part == "text":
            single.mkdir()
            assert isinstance(made.modality, Text)
            texts = made.modality.texts(made.data)
            own, other, floor = (variation(found, words(train)) for found in (words(together), np.array(texts), words(test)))
        else:
            made.save(single)
            own, other, floor = (judges[part].distance(folder) for folder in (together, single, test))
        yield part, own, other, floor


def variation(found: NDArray[np.str_], real: NDArray[np.str_]) -> float:
    """Half the sum of differences between shares of words."""
    one, other = Counter(word.strip() for word in found.tolist()), Counter(real.tolist())
    keys = {*one, *other, *NAMES}
    return 0.5 * sum(abs(one[key] / len(found) - other[key] / len(real)) for key in keys)


def answer(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    main()
