"""The model file survives everything but a lie, and sampling says what it did and what it refuses."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import pellucid.model.files
from pellucid.core.errors import ConfigError, ModelError, UnsupportedError, UserError
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.files import FORMAT, write_model
from pellucid.model.model import JOURNEY_SAMPLES, Model
from pellucid.samplers import samplers
from pellucid.training.config import RunConfig, apply_settings, load_config
from pellucid.training.loop import run

LABELS = ("bag", "coat", "shoe")
MLP = {"name": "mlp", "width": 16, "depth": 1}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small lose more to waiting threads than they gain."""
    torch.set_num_threads(1)


def model(labels: tuple[str, ...] = LABELS, **parts: Any) -> Model:
    """A small model with no zero in its weights."""
    made = Model.create(ModelConfig(**{"network": MLP, **parts}), Facts(shape=(1, 4, 4), labels=labels, mean=0.1, std=0.4))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.denoiser.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    made.denoiser.eval()
    return made


def rows_through(network: nn.Module) -> list[int]:
    """Grows by the number of samples at each call of `network`."""
    rows: list[int] = []
    network.register_forward_hook(lambda _module, inputs, _output: rows.append(len(inputs[0])))
    return rows


# --------------------------------------------------------------------------------------------------------- the file


def test_round_trip_is_exact(tmp_path: Path) -> None:
    """Every tensor bit by bit, configuration, facts and card, from a file and from the folder that holds it."""
    parts = {
        "schedule": {"name": "rectified", "shift": 3.0}, "denoiser": {"name": "regression", "prediction": "v"},
        "sampling": {"sampler": {"name": "ddim", "eta": 0.5}, "steps": 7, "guidance_interval": [-1.0, 2.0]},
    }  # fmt: skip
    made = model(**parts)
    made.card = {"samples_seen": 12, "note": "größer, 小"}
    made.save(tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors", str(tmp_path)):
        loaded = Model.load(path)
        assert (loaded.config, loaded.facts, loaded.card) == (made.config, made.facts, made.card)
        assert loaded.tensors().keys() == made.tensors().keys()
        assert all(torch.equal(value, made.tensors()[name]) for name, value in loaded.tensors().items())
        assert not loaded.denoiser.training
        assert not any(parameter.requires_grad for parameter in loaded.denoiser.parameters())


def test_configuration_round_trip_through_toml_and_metadata(tmp_path: Path) -> None:
    """--set, config.toml and the file's metadata say the same, and the metadata is plain JSON."""
    settings = ["network.name=mlp", "network.width=16", "schedule.shift=2.5", "sampling.guidance=1.5"]
    config = apply_settings(RunConfig(), settings)
    config.save(tmp_path / "config.toml")
    assert load_config(tmp_path / "config.toml") == config
    Model.create(config.model_part(), Facts(shape=(1, 4, 4))).save(tmp_path)
    assert Model.load(tmp_path).config == config.model_part()
    with safe_open(tmp_path / "model.safetensors", framework="pt") as opened:
        stored = json.loads(opened.metadata()["config"])
    assert stored["schedule"] == {"name": "rectified", "shift": 2.5}
    assert stored["sampling"] == {"guidance": 1.5}


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("maker", ["pickle", "torch"])
def test_no_pickle_is_read(maker: str, tmp_path: Path) -> None:
    """A pickle under our name is refused, and nothing in it is run."""
    file, sprung = tmp_path / "model.safetensors", tmp_path / "sprung"
    if maker == "pickle":
        file.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        torch.save({"x": Trap(sprung)}, file)
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        Model.load(file)
    assert not sprung.exists()


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.2, 0.5, 0.999])
def test_a_file_cut_short_is_refused(share: float, tmp_path: Path) -> None:
    """Wherever it was cut: the error names the file and the likely cause."""
    model().save(tmp_path)
    file = tmp_path / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ModelError, match=r"model\.safetensors' is not a readable safetensors file.*may be cut short"):
        Model.load(tmp_path)


@pytest.mark.parametrize("place", [0, 7, 8, 20, 200])
def test_a_damaged_header_is_refused(place: int, tmp_path: Path) -> None:
    """Eight bytes of 0xff in the header make it unreadable; no other error escapes."""
    model().save(tmp_path)
    file = tmp_path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    file.write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        Model.load(tmp_path)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    """Without our format, with another one, or with a configuration that this version does not know."""
    file, weights = tmp_path / "x.safetensors", {"weight": torch.zeros(2)}
    save_file(weights, file)
    with pytest.raises(ModelError, match="not a pellucid model: no format entry, expected pellucid-model-1"):
        Model.load(file)
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelError, match="not a pellucid model: pt"):
        Model.load(file)
    save_file(weights, file, {"format": FORMAT, "config": '{"colour": 1}', "facts": '{"shape": [1, 4, 4]}'})
    with pytest.raises(ModelError, match="made by another version: colour"):
        Model.load(file)
    save_file(weights, file, {"format": FORMAT, "config": "{}"})
    with pytest.raises(ModelError, match="facts"):
        Model.load(file)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_are_refused(change: str, tmp_path: Path) -> None:
    """A sound file whose tensors are not this configuration's is a ModelError too, naming the tensor."""
    made = model()
    tensors = made.tensors()
    name = "denoiser.network.head.bias"
    if change == "missing":
        del tensors[name]
    else:
        tensors[name if change == "shape" else "denoiser.network.tail"] = torch.zeros(3)
    write_model(tmp_path / "x.safetensors", made.config, made.facts, {}, tensors)
    with pytest.raises(ModelError, match=r"network\.(head\.bias|tail)"):
        Model.load(tmp_path / "x.safetensors")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A missing path, and a folder without a model, each say what was expected."""
    with pytest.raises(ModelError, match=r"There is no model '.*nothing': expected a run folder or a \.safetensors file"):
        Model.load(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"holds no model\.safetensors: is it a run folder"):
        Model.load(tmp_path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "interrupt"])
def test_a_failed_save_leaves_the_old_file(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off in the middle: the old model is there to the bit and nothing else."""
    made = model()
    made.save(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def breaks(_tensors: dict[str, Tensor], path: Path, _metadata: dict[str, str]) -> None:
        Path(path).write_bytes(before[:1000])
        raise error

    monkeypatch.setattr(pellucid.model.files, "save_file", breaks)
    with pytest.raises(UserError if isinstance(error, OSError) else KeyboardInterrupt):
        made.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == before


# --------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize(("settings", "error", "message"), [
    ({"n": 0}, ConfigError, "n = 0, batch = 64: expected 1 or more"),
    ({"batch": 0}, ConfigError, "batch = 0"),
    ({"label": "coats"}, ConfigError, "Unknown label 'coats': did you mean 'coat'. Known: bag, coat, shoe"),
    ({"label": 3}, ConfigError, "Unknown label '3'"),
    ({"label": ["bag", "bog"]}, ConfigError, "Unknown label 'bog': did you mean 'bag'"),
    ({"sampler": "hein"}, ConfigError, "Unknown sampler 'hein': did you mean 'heun'"),
    ({"sampler": {"name": "ddim", "etta": 1}}, ConfigError, "Unknown setting 'etta' of sampler.ddim: did you mean 'eta'"),
    ({"sampler": {"eta": 1}}, ConfigError, "A sampler needs a name"),
    ({"sampler": "consistency"}, UnsupportedError, "Consistency needs a sample .* use ddim, heun or dpmpp"),
    ({"grid": "carras"}, ConfigError, "Unknown grid 'carras': did you mean 'karras'"),
    ({"grid": "table"}, UnsupportedError, "table grid needs a table schedule, not Rectified"),
    ({"steps": 0}, ConfigError, "steps = 0 is out of range"),
    ({"guidance": 2.0}, ConfigError, "guidance = 2 needs something to be guided to or away from: give a label"),
    ({"label": "bag", "guidance": 2.0, "guidance_interval": (3.0, 1.0)}, ConfigError, "the lower first"),
    ({"label": []}, ConfigError, "label"),
    ({"seed": -1}, ConfigError, "seed"),
    ({"seed": 2**64}, ConfigError, "seed"),
    ({"guidance": float("nan"), "label": "bag"}, ConfigError, "guidance"),
], ids=str)  # fmt: skip
def test_sampling_refuses_by_name(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    """What came, what was expected, the nearest valid name."""
    with pytest.raises(error, match=message):
        model().sample(**{"n": 2, "steps": 2, **settings})


def test_labels_of_a_model_without_any() -> None:
    """Asked for a label it never learned; guidance in the model's own defaults is let go of without one."""
    with pytest.raises(UnsupportedError, match="Label 'bag' was asked for, but the model was trained without labels"):
        model(labels=()).sample(1, label="bag")
    assert model(labels=(), sampling={"guidance": 3.0}).sample(2, steps=3).nfe == 3


def test_labels_in_an_array() -> None:
    """A list of labels may be an array."""
    assert model().sample(3, label=np.array([2, 0]), steps=1).labels == ("shoe", "bag", "shoe")


def test_samples_say_how_they_came_about() -> None:
    """Data, labels, seed, calls, time and journey are those of the call."""
    made, reported = model(), []
    found = made.sample(
        20, label=["shoe", 0], steps=4, seed=7, batch=8, journey=True, progress=lambda *step: reported.append(step)
    )
    assert found.data.shape == (20, 1, 4, 4)
    assert found.data.dtype == torch.float32
    assert len(found) == 20
    assert found.labels == ("shoe", "bag") * 10
    assert (found.seed, found.nfe) == (7, 4)
    assert found.seconds > 0
    assert len(found.journey) == 5
    assert all(frame.shape == (8, 1, 4, 4) for frame in found.journey)
    assert torch.equal(found.journey[-1], found.data[:8])
    assert reported == [(done, 12) for done in range(1, 13)]
    assert made.sample(1, steps=2).labels is None
    assert made.sample(30, steps=1, journey=True).journey[0].shape[0] == JOURNEY_SAMPLES


def test_progress_reaches_its_end_on_a_short_chain() -> None:
    """A chain of ten steps has no fifty of them, and the progress says so."""
    reported: list[tuple[int, int]] = []
    short = model(schedule={"name": "additive", "steps": 10}, process={"name": "additive"})
    assert short.sample(3, steps=50, batch=2, progress=lambda *step: reported.append(step)).nfe == 10
    assert reported[-1] == (20, 20)


@pytest.mark.parametrize("guidance", [None, 2.0, (-2.0, 2.0)], ids=str)
@pytest.mark.parametrize("name", [n for n in samplers if n not in ("picard", "learned") and samplers[n].needs == "mean"])
def test_nfe_is_what_the_network_was_called_for(name: str, guidance: Any) -> None:
    """Network calls per sample, counted by a hook: twice the evaluations under guidance, in its interval only."""
    settings = {} if guidance is None else {"guidance": 2.0}
    made = model()
    assert isinstance(made.denoiser.network, nn.Module)
    rows = rows_through(made.denoiser.network)
    if isinstance(guidance, tuple):
        settings["guidance_interval"] = guidance
    found = made.sample(6, label="all", sampler=name, steps=5, batch=4, **settings)
    assert sum(rows) == 6 * found.nfe
    plain = made.sample(6, label="all", sampler=name, steps=5).nfe
    low, high = {"None": (plain, plain), "2.0": (2 * plain, 2 * plain)}.get(str(guidance), (plain + 1, 2 * plain - 1))
    assert low <= found.nfe <= high


# -------------------------------------------------------------------------------------- every process, every sampler

PROCESSES = {
    "gaussian": [],
    **{
        f"{kind} {steps}": ["schedule.name=additive", f"schedule.steps={steps}", "process.name=additive",
                            f"process.noise_kind={kind}"]
        for kind in ("gaussian", "uniform") for steps in (10, 1000)
    },
    "continuous": ["schedule.name=additive", "schedule.continuous=true", "process.name=additive"],
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of 4 x 4 in three classes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.integers(0, 256, (12, 4, 4), dtype=np.uint8))
    np.save(folder / "y.npy", np.arange(12) % 3)
    return folder / "x.npy"


@pytest.mark.parametrize("process", list(PROCESSES))
def test_every_process_trains_and_samples(process: str, pictures: Path, tmp_path: Path) -> None:
    """Three steps of training, then finite samples from every valid sampler; the others are refused by name."""
    settings = [
        f"data.path={pictures}", "network.name=mlp", "network.width=16", "network.depth=1", "training.batch=2",
        "training.samples=6", "training.warmup=0", *PROCESSES[process],
    ]  # fmt: skip
    run(apply_settings(RunConfig(), settings), tmp_path)
    made = Model.load(tmp_path)
    assert made.facts.labels == ("0", "1", "2")
    for name, sampler in samplers.items():
        section = {"name": name, "rows": sampler.example().rows} if name == "learned" else name
        if sampler.needs != "mean" or (process.startswith("uniform") and sampler.assumes_gaussian):
            with pytest.raises(UnsupportedError, match=r"Sampler \w+ (needs a sample|needs the logits|assumes Gaussian)"):
                made.sample(1, sampler=section, steps=3)
            continue
        found = made.sample(2, label="all", guidance=1.5, sampler=section, steps=3)
        assert found.data.isfinite().all()
        assert float(found.data.std()) > 0


@pytest.mark.parametrize(("settings", "message"), [
    (["process.name=additive"], r"additive process came with schedule Rectified, expected schedule.name = 'additive'"),
    ([*PROCESSES["continuous"], "process.noise_kind=uniform"], "continuous limit of uniform increments is Gaussian"),
    ([*PROCESSES["gaussian 10"], "schedule.increment_0=1e-6"], "prior is too narrow for the data.*increment_0"),
    (["schedule.name=cosin"], "Unknown schedule 'cosin': did you mean 'cosine'"),
    (["process.noise_kind=uniform"], "Unknown setting 'noise_kind' of process.gaussian"),
    (["data.condition=lable"], "condition = lable, but nothing in"),
    (["training.micro_batch=3"], "micro_batch = 3 must divide training.batch = 64"),
    (["denoiser.prediction=epps"], "prediction"),
    (["trainin.batch=3"], "Unknown section 'trainin' of the configuration: did you mean 'training'"),
    (["network.name=mlp", "network.depth=0"], "depth = 0 is too small"),
], ids=str)  # fmt: skip
def test_impossible_runs_are_refused_before_they_begin(
    settings: list[str], message: str, pictures: Path, tmp_path: Path
) -> None:
    """The error says why, and no run is left behind."""
    with pytest.raises(UserError, match=message):
        run(apply_settings(RunConfig(), [f"data.path={pictures}", "training.samples=64", *settings]), tmp_path)
    assert not (tmp_path / "config.toml").exists()


def test_half_the_bytes_hold_nearly_the_same_model(tmp_path: Path) -> None:
    """Rounded to 11 bits once, and computed with in float32."""
    made = model()
    made.save(tmp_path / "whole.safetensors")
    made.save(tmp_path / "half.safetensors", half=True)
    loaded = Model.load(tmp_path / "half.safetensors")
    assert loaded.dtype == torch.float32
    for name, value in loaded.tensors().items():
        assert torch.equal(value, made.tensors()[name].half().float())
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size - 4096 for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    torch.testing.assert_close(loaded.sample(4).data, made.sample(4).data, rtol=0, atol=0.02)
