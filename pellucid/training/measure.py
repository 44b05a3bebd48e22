"""The end of a run: the finished model is evaluated on its own data, in about a tenth of the time that training took."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from pellucid.core.errors import UnsupportedError
from pellucid.data.pack import Pack, is_pack
from pellucid.evaluation.bits import bits_of_pack
from pellucid.evaluation.choose import fitting
from pellucid.evaluation.cost_curve import CostCurve
from pellucid.evaluation.curves import metric_name
from pellucid.evaluation.evaluate import evaluate
from pellucid.evaluation.evaluation import Evaluation
from pellucid.evaluation.report import write_report
from pellucid.evaluation.source import Source
from pellucid.evaluation.wording import duration, figure
from pellucid.model.effort import CURVE
from pellucid.model.files import SHIPPED, find_model, read_model, write_model
from pellucid.model.model import Model
from pellucid.model.samples import Samples
from pellucid.training.config import NAME, load_config
from pellucid.training.journal import NAME as LOG
from pellucid.training.journal import append_event

Tell = Callable[[str, str], Any]

SHARE, LEAST, MOST = 0.1, 200, 2000
"""Of the time of training, and of samples."""
OVERHEAD, REAL = 1.5, 5
"""What comparing costs over drawing; real samples for each generated one, which keeps that true."""
LEARNING = 300.0
"""Seconds of training from which a classifier may be trained to measure with."""
NARROW = 0.7
"""Share of real data's recall below which samples are called narrow."""
MEASURED = 64
"""Samples whose likelihood is."""
SEED = 1  # other samples than those of the first look
HEADLINE = ("frechet", "precision", "recall", "agreement", "closeness")


def measure(model: Model, run: Path, look: Samples, tell: Tell) -> None:
    """Evaluate a run that is complete and saved. Whatever goes wrong is told and does no harm, Ctrl-C included.

    Arguments:
        look: samples already drawn, which show what one costs.
        tell: is given the outcome, or why there is none, under the name "quality".
    """
    if model.facts.categories:
        _measure_bits(model, run, tell)
    by_hand = f"pellucid evaluate {quote(str(run))}"
    trained, each = 60 * float(model.card["minutes"]), OVERHEAD * look.seconds / len(look)
    n = affordable(trained, each)
    if not n:
        cost = duration(LEAST * each)
        tell("quality", f"not measured: {LEAST} samples take {cost}, over a tenth of training. {by_hand}")
        return
    try:
        pack = Pack.open(run_data(run))
        name = fitting(Source(pack, model.modality))
        chosen = "fixed" if name == "classifier" and trained < LEARNING else name
        found = evaluate(model, pack, n=n, n_real=REAL * n, features=chosen, seed=SEED)
        record(run, found, int(model.card["samples_seen"]))
        for name, warning in flags(found):
            tell(name, warning)
        tell("quality", summary(found))
    except KeyboardInterrupt:
        tell("quality", f"not measured: interrupted. {by_hand}")
    except Exception as error:
        tell("quality", f"not measured: {str(error) or type(error).__name__}")


def flags(found: Evaluation) -> Iterator[tuple[str, str]]:
    """What should be looked at, in words, under a name: samples that are copies, and data that samples leave out."""
    close, recall = found.metrics.get("closeness"), found.metrics.get("recall")
    if close is not None and close.floor is not None and close.low > close.floor:
        yield "copies", (f"{close.value:.0%} of samples lie as near to a training sample as {close.floor:.0%} of real ones "
                         "do: pictures/nearest.png shows which; more data, or fewer minutes, would help")
    if recall is not None and recall.floor is not None and recall.high < NARROW * recall.floor:
        yield "diversity", (f"samples reach {recall.value:.0%} of what the data has, real ones {recall.floor:.0%}: more "
                            "minutes, or less guidance, would widen it")


def affordable(trained: float, each: float) -> int:
    """How many samples are worth measuring after so many seconds of training, if one takes `each`; 0 if too few are."""
    n = min(MOST, int(SHARE * trained / each))
    return n if n >= LEAST else 0


def _measure_bits(model: Model, run: Path, tell: Tell) -> None:
    """Of some of the training data."""
    by_hand = f"pellucid likelihood {quote(str(run))} DATA"
    try:
        found = bits_of_pack(model, Pack.open(run_data(run)), n=MEASURED, seed=SEED)
        facts = {"mean": found.mean, "standard_error": found.standard_error, "n": found.n}
        append_event(run, "bits", int(model.card["samples_seen"]), **facts)
        spread = f"{found.mean:.2f} ± {1.96 * found.standard_error:.2f}"
        tell("likelihood", f"{spread} bits per {found.of} of training data; of other data: {by_hand}")
    except KeyboardInterrupt:
        tell("likelihood", f"not measured: interrupted. {by_hand}")


def run_data(run: Path) -> Path:
    """Where a run's data lies: its own pack, or the one it was given."""
    own = run / "data"
    return own if is_pack(own) else Path(load_config(run / NAME).data.path)


def record(run: Path, found: Evaluation, seen: int) -> None:
    """Add an evaluation to a run: to its log, its pictures and its report."""
    append_event(run, "evaluation", seen, **found.facts)
    found.show_nearest(run / "pictures" / "nearest.png")
    write_report(run)


def keep_curve(place: Path, found: CostCurve) -> None:
    """Put a quality-cost curve into the model file that `place` stands for, and into the log and report of a run."""
    config, facts, card, tensors = read_model(place)
    write_model(changeable(place), config, facts, {**card, CURVE: found.as_card()}, tensors)
    if (place / LOG).is_file():
        append_event(place, "curve", int(card["samples_seen"]), **found.as_card())
        write_report(place)


def changeable(place: Path) -> Path:
    """The model file that `place` stands for.

    Raises:
        ModelError: none of ours.
        UnsupportedError: it comes with the package.
    """
    file = find_model(place)
    if file.parent == SHIPPED:
        raise UnsupportedError(f"'{place}' comes with the package and is not changed: copy '{file}', and measure that")
    return file


def summary(found: Evaluation) -> str:
    """The figures that matter most, on one line."""
    told = []
    for name in (name for name in HEADLINE if name in found.metrics):
        result = found.metrics[name]
        floor = "" if result.floor is None else f" (real: {figure(result.floor)})"
        told.append(f"{metric_name(name)} {figure(result.value)}{floor}")
    return f"{', '.join(told)}; {found.n:,} samples, features '{found.features}'"
