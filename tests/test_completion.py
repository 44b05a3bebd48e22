"""Forecasts and filled gaps, from Python and the command line, on a series whose future is known."""

import csv
import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from commands import call
from pellucid.core.errors import DataError, UnsupportedError
from pellucid.model.completion import complete, save
from pellucid.model.filling import fill
from pellucid.model.model import Model
from pellucid.training.train import train

PERIOD = 8
DAYS = np.datetime64("2020-01-01") + np.arange(400)
SMALL = ("network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "training.evaluate=false")


def wave(rows: int = 400) -> np.ndarray:
    """(2, rows): a season, and the same with noise of a tenth, one step later."""
    season = 20 + 5 * np.sin(2 * np.pi * np.arange(-1, rows) / PERIOD)
    return np.stack([season[1:], season[:-1] + 0.5 * np.random.default_rng(0).normal(size=rows)])


def written(path: Path, values: np.ndarray, first: int = 0) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["day", "load", "late"])
        for day, row in zip(DAYS[first:], values.T, strict=False):
            writer.writerow([day, *("" if np.isnan(value) else value for value in row)])
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has hardly trained: what it can do is the closed form's."""
    home = tmp_path_factory.mktemp("series")
    train(written(home / "wave.csv", wave()), home / "run", samples=32, size=16, settings=SMALL)
    return home / "run"


def test_a_season_is_forecast(run: Path, tmp_path: Path) -> None:
    """40 rows ahead, two and a half windows: in phase, and as uncertain as the noise."""
    found = complete(Model.load(run), written(tmp_path / "now.csv", wave(200)), length=40, n=40)[0]
    truth = wave(240)[0, 200:]
    assert found.versions.shape == (40, 2, 104)
    assert np.abs(found.quantile(0.5)[0, -40:] - truth).max() < 1.5
    spread = found.versions[:, 1, -40:].std(0)
    assert 0.25 < spread.mean() < 1.0
    np.testing.assert_array_equal(found.versions[:, :, :64], np.broadcast_to(found.known[:, :64], (40, 2, 64)))
    assert found.times[-1] == str(DAYS[239])


def test_gaps_are_filled_and_nothing_else_changes(run: Path, tmp_path: Path) -> None:
    values, holes = wave(100), wave(100)
    holes[np.random.default_rng(1).random(holes.shape) < 0.3] = np.nan
    holes[0, 40:46] = np.nan
    found = complete(Model.load(run), written(tmp_path / "gaps.csv", holes), n=20)[0]
    known = ~np.isnan(holes)
    np.testing.assert_array_equal(found.quantile(0.5)[known], values[known])
    missing = ~known[0]
    assert np.abs(found.quantile(0.5)[0, missing] - values[0, missing]).mean() < 0.5
    save([found], tmp_path / "filled.csv", ())
    rows = list(csv.reader((tmp_path / "filled.csv").read_text().splitlines()))
    assert rows[0] == ["day", "load", "late"]
    assert len(rows) == 101
    assert all(cell for row in rows for cell in row)


def test_other_columns_stay_and_empty_ones_are_filled(run: Path, tmp_path: Path) -> None:
    lines = written(tmp_path / "now.csv", wave(40)).read_text().splitlines()
    rows = [f"{line.rsplit(',', 1)[0]},,note {place},{place}" for place, line in enumerate(lines[1:])]
    (tmp_path / "more.csv").write_text("\n".join(["day,load,late,remark,code", *rows]))
    found = complete(Model.load(run), tmp_path / "more.csv", n=4)
    save(found, tmp_path / "filled.csv", ())
    table = list(csv.DictReader((tmp_path / "filled.csv").read_text().splitlines()))
    assert [row["remark"] for row in table] == [f"note {place}" for place in range(40)]
    assert [row["code"] for row in table] == [str(place) for place in range(40)]
    assert all(abs(float(row["late"]) - 20) < 8 for row in table)


def test_each_series_has_its_label(tmp_path: Path) -> None:
    """That the table gives it, where nobody asks for another."""
    rows = ["day,place,x", *(f"{day},{place},{mean + np.sin(row)}" for place, mean in (("low", 0), ("high", 100))
                             for row, day in enumerate(DAYS[:60]))]  # fmt: skip
    (tmp_path / "two.csv").write_text("\n".join(rows))
    train(tmp_path / "two.csv", tmp_path / "run", samples=32, size=8, settings=SMALL)
    model, asked = Model.load(tmp_path / "run"), list[object]()
    assert model.facts.labels == ("high", "low")
    with patch.object(Model, "condition", autospec=True, side_effect=lambda *_, label=None, **__: asked.append(label) or {}):
        found = complete(model, tmp_path / "two.csv", length=2, n=2)
    assert [label for label in asked if label] == ["low", "high"]
    save(found, tmp_path / "next.csv", ())
    assert (tmp_path / "next.csv").read_text().startswith("place,day,x\nlow,2020-03-01,")


def test_versions_depend_on_the_seed_alone(run: Path) -> None:
    model, values = Model.load(run), np.pad(wave(30), ((0, 0), (0, 12)), constant_values=np.nan)
    first, again, other = (fill(model, values, n=n, seed=seed) for n, seed in ((6, 1), (3, 1), (3, 2)))
    np.testing.assert_allclose(first[:3], again, rtol=1e-5)
    assert not np.allclose(again, other)


def test_what_is_known_comes_back(run: Path) -> None:
    model = Model.load(run)
    known = torch.full((2, 16), torch.nan)
    known[0, :5] = torch.linspace(-1, 1, 5)
    made = model.sample(3, known=known).data
    assert torch.equal(made[:, 0, :5], known[0, :5].expand(3, 5))
    assert made.isfinite().all()


def test_the_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = written(tmp_path / "now.csv", wave(60))
    out = tmp_path / "f.csv"
    code, told, _ = call(f"continue {run} {now} --length 5 -n 8 --out {out} --quantiles 0.1,0.9 --json", capsys)
    assert code == 0
    assert json.loads(told)["rows"] == 5
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == ["day", "load", "load q10", "load q90", "late", "late q10", "late q90"]
    assert [row["day"] for row in rows] == [str(day) for day in DAYS[60:65]]
    assert all(float(row["load q10"]) <= float(row["load"]) <= float(row["load q90"]) for row in rows)
    for name in ("f.png", "f.npy"):
        assert call(f"continue {run} {now} --length 5 -n 8 --out {tmp_path / name} -q", capsys)[0] == 0
    assert np.load(tmp_path / "f.npy").shape == (8, 2, 5)
    with Pillow.open(tmp_path / "f.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 3
    holes = wave(60)
    holes[1, 20:25] = np.nan
    code, told, _ = call(f"impute {run} {written(tmp_path / 'g.csv', holes)} -n 8 --out {tmp_path / 'g2.csv'}", capsys)
    assert code == 0
    assert "5 values of 1 series, 8 versions" in told


@pytest.mark.parametrize(("words", "message"), [
    ("continue RUN none.csv --length 3", "There is no file 'none.csv'"), ("impute RUN FULL", "Nothing is missing in"),
    ("continue RUN OTHER --length 3", "no column 'load'"), ("continue RUN FULL", "Missing option '--length'"),
    ("continue RUN FULL -l 3 --quantiles 2", "--quantiles 2: expected numbers from 0 to 1"),
    ("continue RUN FULL -l 3 --out FULL", "is the input itself"),
    ("continue RUN FULL -l 100000000", "expected at most 268,435,456: ask for fewer"),
    ("continue RUN FULL -l 3 --out a.doc", "no such format as '.doc'"), ("continue RUN FULL -l 0", "at least 1, got '0'"),
])
def test_refusals(
    words: str, message: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text("day,x\n" + "\n".join(f"{day},1" for day in DAYS[:20]))
    places = {"RUN": run, "FULL": written(tmp_path / "full.csv", wave(30)), "OTHER": tmp_path / "other.csv"}
    for name, place in places.items():
        words = words.replace(name, str(place))
    code, _, told = call(words, capsys)
    assert code == 2
    assert message in told
    assert "Traceback" not in told


def test_other_models_refuse(run: Path, tmp_path: Path) -> None:
    model = Model.load(run)
    with pytest.raises(DataError, match=r"shape \(3, 20\), expected \(2, T\)"):
        fill(model, np.zeros((3, 20)))
    with pytest.raises(DataError, match="Nothing is known to go on from"):
        fill(model, np.full((2, 20), np.nan))
    data = written(tmp_path / "w.csv", wave(60))
    whole = train(data, tmp_path / "run", samples=16, size=8, settings=(*SMALL, "loss.given=0"))
    with pytest.raises(UnsupportedError, match=r"loss\.given above 0"):
        fill(whole, np.full((2, 20), np.nan))
    with pytest.raises(UnsupportedError, match="makes samples whole"):
        whole.sample(1, known=torch.zeros(2, 8))


def test_other_commands_do_with_series(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """evaluate, likelihood, data show, sample to a table and by the engine."""
    data = written(tmp_path / "w.csv", wave(120))
    code, told, _ = call(f"evaluate {run} -n 30 --data {data}", capsys)
    assert code == 0
    assert "features          temporal" in told
    code, _, told = call(f"likelihood {run} {data} -n 4 --steps 8", capsys)
    assert code == 2
    assert "there is no density" in told  # a season without noise follows from itself
    code, told, _ = call(f"data show {data} --size 16 --out {tmp_path / 'd.png'}", capsys)
    assert code == 0
    assert "105 of 2 x 16 (columns x rows)" in told
    code, told, _ = call(f"sample {run} -n 3 --engine onnx --out {tmp_path / 's.csv'}", capsys)
    assert code == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 1 + 3 * 16
    code, _, told = call(f"sample {run} --out {tmp_path / 's.bmp'}", capsys)
    assert code == 2
    assert "no such format as '.bmp'" in told


def test_training_with_missing_values(tmp_path: Path) -> None:
    """By either denoiser; the report and evaluation do with the whole windows that there are."""
    holes = wave(200)
    holes[:, ::23] = np.nan
    data = written(tmp_path / "holes.csv", holes)
    for name in ("wiener", "regression"):
        out = tmp_path / name
        model = train(data, out, samples=64, size=8, settings=(*SMALL, f"denoiser.name={name}", "loss.fourier=0.1"))
        assert model.facts.missing
        assert model.sample(2).data.isfinite().all()
        assert (out / "report.html").is_file()
