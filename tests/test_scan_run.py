"""Models of slices and volumes from folder to file: what every command says and leaves, and no patient in any of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from commands import call
from pellucid.core.errors import UserError
from pellucid.evaluation.evaluate import evaluate
from pellucid.evaluation.source import opened
from pellucid.modalities.scan import Scan
from pellucid.model.model import Model
from pellucid.training.train import train
from scan_files import PATIENT, UID, dicom, holding, nifti, read, series

SIDE = 8
SMALL = ("network.channels=[8,16]", "training.batch=16", "training.evaluate=false", "training.warmup=16")
MARKS = (*PATIENT.values(), UID)


def blobs(count: int, wide: bool) -> np.ndarray:
    """Bright bodies in air, in Hounsfield units, (count, SIDE, SIDE, SIDE): balls, or slabs through the whole height."""
    rng, axis = np.random.default_rng(int(wide)), np.arange(SIDE)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    found = []
    for _ in range(count):
        centre, radius = rng.uniform(3, 4.5, 3), rng.uniform(2, 3)
        inside = (np.hypot(y - centre[1], x - centre[2]) if wide else
                  np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)) < radius  # fmt: skip
        found.append(np.where(inside, 60, -1000) + rng.integers(-20, 21, inside.shape))
    return np.stack(found).astype(np.int16)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of bodies, 16 of each, as NIfTI; and a model of them that has trained for seconds."""
    home = tmp_path_factory.mktemp("scans")
    for label in ("ball", "slab"):
        for number, volume in enumerate(blobs(16, label == "slab")):
            nifti(home / "bodies" / label / f"{number}.nii.gz", volume, (3.0, 1.5, 1.5))
    train(home / "bodies", home / "run", samples=1600, settings=SMALL)
    return home


def test_the_model_file_keeps_everything(home: Path) -> None:
    model = Model.load(home / "run")
    scan = model.modality
    assert isinstance(scan, Scan)
    assert (scan.spacing, scan.numbers, scan.volume) == ((3.0, 1.5, 1.5), "int16", True)
    assert (scan.slope, scan.intercept) == (1.0, 0.0)
    assert scan.window == pytest.approx((-470, 1100), abs=20)
    assert (model.facts.shape, model.facts.labels) == ((1, SIDE, SIDE, SIDE), ("ball", "slab"))
    for name in ("samples.png", "training.png", "journey.gif"):
        assert (home / "run" / "pictures" / name).is_file()


def test_a_volume_model_trains(home: Path) -> None:
    """Bright in the middle, air at the edges, as the bodies are; a slab goes through, a ball does not. Untrained it is none
    of that.
    """
    model = Model.load(home / "run")
    drawn = {label: model.sample(24, label=label, steps=10).data for label in ("ball", "slab")}
    values = {label: model.modality.encode(data)[:, 0] for label, data in drawn.items()}
    for made in values.values():
        middle, corners = made[:, 3:5, 3:5, 3:5], made[:, ::7, ::7, ::7]
        assert np.median(middle) > -250
        assert np.median(corners) < -750
    ends = {label: np.median(made[:, ::7, 3:5, 3:5]) for label, made in values.items()}
    assert ends["slab"] > ends["ball"] + 300


def test_samples_are_scans(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every format, with the spacing of the data; what was written is read back."""
    made = {}
    for name in ("made", "all.nii", "all.nii.gz", "sheet.png", "all.npy", "dicom/a.dcm"):
        code, out, err = call(f"sample {home / 'run'} -n 2 --steps 2 --label slab --out {tmp_path / name}", capsys)
        assert code == 0, err
        if name in ("made", "all.nii", "all.nii.gz"):
            items, rejected, _, scan = read(tmp_path / name)
            made[name] = np.stack([item.data for item in items])
            assert (rejected, scan.spacing) == ({}, (3.0, 1.5, 1.5))
    assert "a-000000-0000.dcm to a-000001-0007.dcm (16 files)" in out
    items, _, _, scan = read(tmp_path / "dicom", volume=True)
    assert scan.spacing == (3.0, 1.5, 1.5)
    for values in (made["all.nii"], made["all.nii.gz"], np.load(tmp_path / "all.npy")):
        np.testing.assert_array_equal(values, made["made"])
    both = sorted((item.data for item in items), key=lambda one: one.tobytes())
    np.testing.assert_array_equal(both, sorted(made["made"], key=lambda one: one.tobytes()))
    journey = f"--journey {tmp_path / 'j.gif'}"
    assert call(f"sample {home / 'run'} -n 2 --steps 2 --out {tmp_path / 'b.nii.gz'} {journey} -q", capsys)[0] == 0
    code, _, err = call(f"sample {home / 'run'} -n 2 --out {tmp_path / 'b.csv.gz'}", capsys)
    assert (code, "no such format as '.gz'" in err) == (2, True)
    code, _, err = call(f"sample {home / 'run'} -n 2 --out {tmp_path / 'b.wav'}", capsys)
    assert (code, "no such format as '.wav'" in err) == (2, True)


def test_volumes_are_measured(home: Path) -> None:
    """Real bodies against samples, all slices at once; the data is read as the model knows it."""
    found = evaluate(Model.load(home / "run"), home / "bodies", n=20, steps=2)
    assert found.features == "fixed"
    assert found.metrics["frechet"].value > 0


def test_other_data_is_measured_as_the_models(home: Path, tmp_path: Path) -> None:
    """Of another slope, depth and kind of number: brought to the model's; what has no room there is named."""
    for number, volume in enumerate(blobs(20, wide=False)):
        series(tmp_path / "other" / str(number), volume + 1024, uid=f"{UID}.{number}", step=3.0)
    model = Model.load(home / "run")
    records = list(model.modality.read(tmp_path / "other", size=model.facts.shape[1:], channels=1))
    np.testing.assert_array_equal(next(one.data[0] for one in records if hasattr(one, "data")), blobs(1, wide=False)[0])
    with opened(tmp_path / "other", model) as source:
        assert (source.seen, len(source.pack)) == ((SIDE, SIDE, SIDE), 20)
    nifti(tmp_path / "large" / "a.nii", blobs(1, wide=False)[0].astype(np.int32) * 100)
    with pytest.raises(UserError, match=r"values of -102000 to .* where those of the others lie between -32768 and 32767"):
        list(model.modality.read(tmp_path / "large", size=model.facts.shape[1:]))


def test_slices_train_and_are_measured(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for of volumes; by the command line, from looking at the data to a measurement."""
    code, out, err = call(f"data show {home / 'bodies'} --set modality.volume=false --out {tmp_path / 'data.png'}", capsys)
    assert code == 0, err
    assert "of 1 x 8 x 8" in out
    settings = " ".join(f"--set {setting}" for setting in (*SMALL, "modality.volume=false"))
    code, out, err = call(f"train {home / 'bodies'} --samples 64 --out {tmp_path / 'run'} {settings}", capsys)
    assert code == 0, err
    assert call(f"sample {tmp_path / 'run'} -n 3 --steps 2 --out {tmp_path / 'a.nii.gz'}", capsys)[0] == 0
    items, _, _, scan = read(tmp_path / "a.nii.gz")
    assert ([item.data.shape for item in items], scan.spacing[1:]) == ([(1, SIDE, SIDE)] * 3, (1.5, 1.5))
    code, out, err = call(f"evaluate {tmp_path / 'run'} --data {home / 'bodies'} -n 20 --steps 2", capsys)
    assert code == 0, err


def test_training_resumes_to_the_bit(home: Path, tmp_path: Path) -> None:
    train(home / "bodies", tmp_path / "run", samples=32, settings=(*SMALL, "training.checkpoint_samples=16"))
    whole, run = Model.load(tmp_path / "run").tensors(), tmp_path / "run"
    (run / "model.safetensors").unlink()
    sorted((run / "checkpoints").iterdir())[-1].unlink()
    train(None, run, resume=True)
    for name, value in Model.load(run).tensors().items():
        assert torch.equal(value, whole[name]), name


@pytest.mark.parametrize("volume", ["false", "true"])
def test_no_patient_is_in_anything(tmp_path: Path, volume: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, number, birth date and identifiers of every header: not in the pack, the run, the model, the report, the samples
    of any format, nor on the screen.
    """
    data, out = tmp_path / "data", tmp_path / "out"
    for number, body in enumerate(blobs(20, wide=False)):
        series(data / f"{'ab'[number % 2]}" / str(number), body + 1024, uid=f"{UID}.{number}")
    dicom(data / "a" / "bad", blobs(1, wide=False)[0, 0], PhotometricInterpretation="RGB", SamplesPerPixel=3)
    cut = dicom(data / "a" / "cut", blobs(1, wide=False)[0, 0])
    cut.write_bytes(cut.read_bytes()[:-9])
    told = ""
    settings = " ".join(f"--set {setting}" for setting in (*SMALL, f"modality.volume={volume}"))
    runs = [f"data show {data} --out {out / 'data.html'} --set modality.volume={volume}",
            f"data pack {data} --out {out / 'pack'} --set modality.volume={volume}",
            f"train {data} --samples 32 --out {out / 'run'} {settings}",
            f"evaluate {out / 'run'} --data {data} -n 20 --steps 2"]  # fmt: skip
    runs = runs if volume == "true" else runs[2:3]
    runs += [f"sample {out / 'run'} -n 2 --steps 2 --out {out / name} --journey {out / 'journey.gif'}"
             for name in ("a.nii", "a.nii.gz", "a.dcm", "a.png", "a.npy", "folder")]  # fmt: skip
    for words in runs:
        code, screen, err = call(words, capsys)
        assert code == 0, err
        told += screen + err
    assert holding(data, *MARKS)
    assert not holding(out, *MARKS)
    assert not any(mark.lower() in told.lower() for mark in (*MARKS, "quillfeather"))
    assert volume == "false" or "2 that could not be read" in told


@pytest.mark.parametrize(("make", "message"), [
    (lambda folder: (folder / "a.dcm").write_bytes(b""), "an empty file"),
    (lambda folder: (folder / "a.nii.gz").write_bytes(b"\x1f\x8b\x08"), "ends too early"),
    (lambda folder: (folder / "a.nii").write_text("words" * 200), "neither DICOM nor NIfTI, whatever its name says"),
    (lambda folder: nifti(folder / "a.nii", np.full((4, 4, 4), np.nan, np.float32)), "values that are no numbers"),
    (lambda folder: nifti(folder / "a.nii", np.full((4, 4, 4), 3, np.int16)), "every value is 3: there is nothing in it"),
])  # fmt: skip
def test_data_that_cannot_be_trained_on(
    tmp_path: Path, make: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, exit 2, no run left behind."""
    (tmp_path / "data").mkdir()
    make(tmp_path / "data")  # type: ignore[operator]
    for words in (f"train {tmp_path / 'data'} --samples 8 --out {tmp_path / 'run'}", f"data show {tmp_path / 'data'}"):
        code, _, err = call(words, capsys)
        assert (code, message in err, "Traceback" in err) == (2, True, False), err
    assert not (tmp_path / "run" / "config.toml").exists()
