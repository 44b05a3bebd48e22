"""Methods side by side: what is trained, what it costs, what is told, and that nothing is done twice."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from pellucid.comparison.compare import compare
from pellucid.core.errors import ConfigError, UserError
from pellucid.core.random import Keyed
from pellucid.evaluation.evaluate import evaluate
from pellucid.training.config import load_config

SMALL = ["network.name=mlp", "network.width=16", "network.depth=1", "training.batch=8"]
METHODS = ["diffusion", "vae", "gan"]


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, text: str) -> Any:
        self.stages.append(text)
        return lambda *_: None

    def begin(self, *_: Any) -> None: ...

    def step(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures of noise."""
    path = tmp_path_factory.mktemp("compare") / "data.npy"
    np.save(path, (255 * Keyed(0, range(40)).uniform("pictures", 0, (8, 8)).numpy()).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def done(data: Path) -> tuple[Path, Watcher, Any]:
    out, watcher = data.parent / "out", Watcher()
    return out, watcher, compare(data, out, methods=METHODS, minutes=0.002, seeds=2, n=12, settings=SMALL, observer=watcher)


def test_every_method_is_trained_with_every_seed_at_the_same_cost(done: tuple[Path, Watcher, Any]) -> None:
    out, watcher, found = done
    seconds = json.loads((out / "seconds.json").read_text())
    assert [(one.method, one.seed) for one in found.outcomes] == [(method, seed) for seed in (0, 1) for method in METHODS]
    for one in found.outcomes:
        config = load_config(one.folder / "config.toml")
        assert config.seed == one.seed
        assert one.facts["samples_seen"] % 8 == 0
        whole = 60 * 0.002 / median(seconds[one.method])
        assert one.facts["samples_seen"] == max(8, 8 * round(whole / 8))
    assert {one.method: one.facts["nfe"] for one in found.outcomes} == {"diffusion": 20, "vae": 1, "gan": 1}
    assert any("6 trainings of" in text for text in watcher.stages)


def test_the_table_and_the_page_tell_all(done: tuple[Path, Watcher, Any]) -> None:
    out, _, found = done
    rows = {row[0]: row for row in found.rows()}
    recall = [one.metric("recall") for one in found.of("vae")]
    assert rows["vae"][3].startswith(f"{np.mean(recall):.3g}"[:4])
    assert all("±" in cell for cell in rows["gan"][1:4])
    text, html = ((out / f"comparison.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    assert all(f"| {method} |" in text for method in METHODS)
    assert "12 samples against 40 real ones" in text
    assert html.count("data:image/png;base64,") == 6
    assert len(json.loads((out / "outcomes.json").read_text())["outcomes"]) == 6


def test_what_is_there_is_not_done_again(
    data: Path, done: tuple[Path, Watcher, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second call trains and measures nothing; one that was lost is done again, and alone."""
    out, _, found = done
    (found.outcomes[-1].folder / "evaluation.json").unlink()
    drawn: list[int] = []

    def watched(*arguments: Any, **settings: Any) -> Any:
        drawn.append(settings["n"])
        return evaluate(*arguments, **settings)

    monkeypatch.setattr("pellucid.comparison.compare.evaluate", watched)
    again = compare(data, out, methods=METHODS, minutes=0.002, seeds=2, n=12, settings=SMALL, observer=Watcher())
    assert drawn == [12]
    assert [one.metric("frechet") for one in again.outcomes] == [one.metric("frechet") for one in found.outcomes]


@pytest.mark.parametrize(("changed", "error", "message"), [
    ({"methods": ["diffusion", "gam"]}, ConfigError, "Unknown method 'gam': did you mean 'gan'"),
    ({"methods": ["gan", "gan"]}, ConfigError, "expected each once"),
    ({"n": 3}, ConfigError, "takes at least 10 samples"),
    ({"minutes": 1.0}, ConfigError, "holds a comparison with minutes = 0.002, not 1.0"),
    ({"settings": [*SMALL, "network.wide=1"]}, ConfigError, "holds a comparison with settings"),
])  # fmt: skip
def test_what_is_refused(
    data: Path, done: tuple[Path, Watcher, Any], changed: dict[str, Any], error: type[UserError], message: str
) -> None:
    asked: dict[str, Any] = {"methods": METHODS, "minutes": 0.002, "seeds": 2, "n": 12, "settings": SMALL}
    with pytest.raises(error, match=message):
        compare(data, done[0], observer=Watcher(), **{**asked, **changed})


def test_data_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    """So that the next call, with the right name, may have the folder."""
    with pytest.raises(UserError, match="There is no"):
        compare(tmp_path / "none", tmp_path / "out", minutes=0.002, n=12, observer=Watcher())
    assert not (tmp_path / "out" / "comparison.json").exists()
