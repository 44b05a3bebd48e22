"""A stage of a run before the denoiser's: trained as anything is, in a folder of its own, and gone on with where it stopped.

    STAGE/checkpoints, log.jsonl, tensorboard
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pellucid.core.files import clear_temporaries
from pellucid.training.batch import BatchSource
from pellucid.training.config import TrainingConfig
from pellucid.training.journal import NAME, Journal
from pellucid.training.state import TrainingState
from pellucid.training.steps import StepObserver, Steps


def train_stage(
    config: TrainingConfig,
    state: TrainingState,
    batches: BatchSource,
    folder: Path,
    identity: str,
    *,
    begin: Callable[[], None],
    finish: Callable[[], dict[str, Any]],
    observer: StepObserver | None = None,
) -> dict[str, Any]:
    """Train to the plan's end.

    Arguments:
        state: at its start; it goes on from the newest checkpoint in `folder`, if there is one.
        begin: called before the first step.
        finish: makes of the trained state what the model needs, and returns what its card should say.

    Raises:
        UserError, DivergenceError, InterruptedRunError: see `loop.run`.
    """
    saved = folder / "checkpoints"
    saved.mkdir(parents=True, exist_ok=True)
    for place in (folder, saved):
        clear_temporaries(place)
    aside = state.restore_newest(saved, identity)
    journal = Journal(folder, state.seen)
    try:
        for why in aside:
            journal.write("damaged", state.seen, why=why)
        begin()
        steps = Steps(config, state, batches, saved, identity, journal, observer)
        steps.run()
        steps.save()
        card = {"samples_seen": state.seen, "minutes": round(state.plan.elapsed / 60, 2), **finish()}
        journal.write("end", state.seen, **card)
    finally:
        journal.close()
    return card


def told(folder: Path) -> dict[str, Any]:
    """What the model's card says of a stage that has ended, from its log; nothing where that is gone."""
    log = folder / NAME
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    ends = [event for event in map(json.loads, lines) if event["event"] == "end"]
    return {name: value for name, value in ends[-1].items() if name not in ("event", "time", "samples")} if ends else {}
