"""A model that regresses becomes one that goes to the end in a call or two: consistency tuning, as a run like any other."""

import json
from pathlib import Path

from pellucid.core.errors import ConfigError
from pellucid.model.files import read_model
from pellucid.model.model import Model
from pellucid.training.measure import run_data
from pellucid.training.train import Observer, train

CRITIC = 0.5
"""Weight of a critic, where one judges."""
RATE = 0.002
"""Of Muon."""


def tune_to_consistency(
    model: Path,
    out: Path,
    *,
    steps: int = 2,
    critic: float = 0.0,
    data: Path | None = None,
    minutes: float | None = None,
    samples: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    observer: Observer | None = None,
) -> Model:
    """Train the model's weights on by `losses.ConsistencyLoss`, with a critic by `losses.JudgedConsistencyLoss`, so that
    they go in `steps` calls where the model goes in many, under the guidance that it samples with.

    The run and its model are written to the folder `out`.

    Arguments:
        steps: network calls that a sample takes.
        critic: weight of a critic; 0: none.
        data: what it is tuned on; None: what the run `model` was trained on.
        minutes, samples: how long; see `train`.

    Raises:
        UserError: a model that does not regress, no data, or see `train`.
    """
    config, facts, _, _ = read_model(model)
    if config.denoiser.get("name") != "regression":
        kind = config.denoiser.get("name")
        raise ConfigError(f"'{model}' has a denoiser of the kind '{kind}': consistency starts from one that regresses")
    if data is None and not (model / "log.jsonl").is_file():
        raise ConfigError(f"'{model}' is no run that knows its data: give --data PATH")
    if config.denoiser.get("sketch"):
        raise ConfigError(f"'{model}' sketches from captions, which consistency was not tried with: use --method solver")
    kept = {f"denoiser.{name}": value for name, value in config.denoiser.items() if name != "name"}
    wanted = {
        "denoiser.name": "consistency", **kept, "denoiser.segments": steps,
        "sampling.steps": steps, "sampling.grid": "uniform", "sampling.guidance": 1.0, "sampling.against": "null",
        "loss.critic": critic, "loss.times.name": "uniform", "loss.drop_condition": 0.0,
        "optimiser.learning_rate": RATE,
    }  # fmt: skip
    sampler = f'sampling.sampler={{name = "consistency", fresh = {json.dumps(steps == 1)}}}'
    settings = ["solvers={}", sampler, *(f"{key}={json.dumps(value)}" for key, value in wanted.items())]
    return train(
        data or run_data(model), out, start=model, minutes=minutes, samples=samples, seed=seed, device=device,
        condition="auto" if facts.labels or facts.captions else "none", settings=settings, observer=observer,
    )  # fmt: skip
