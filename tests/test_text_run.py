"""A model of texts from folder to file: what it learns, what every command says and leaves."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from commands import call
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.evaluation.evaluate import evaluate
from pellucid.modalities.text import Text
from pellucid.model.answering import answer
from pellucid.model.model import Model
from pellucid.model.writing import write
from pellucid.processes.masked import Masked
from pellucid.processes.uniform_tokens import UniformTokens
from pellucid.training.train import train

LENGTH, WINDOW = 12, 13
SMALL = ("network.width=64", "network.depth=2", "training.evaluate=false", "training.warmup=64", "data.size=[13]",
         "training.batch=12", "optimiser.learning_rate=0.01")  # fmt: skip
RISING, FALLING = "abcdef", "fedcba"


def round_and_round(letters: str, start: int, length: int = LENGTH) -> str:
    return "".join(letters[(start + i) % len(letters)] for i in range(length))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Letters that rise and letters that fall, as two labels, and a model that has learned them."""
    home = tmp_path_factory.mktemp("texts")
    rows = [
        {"text": round_and_round(letters, start), "style": style}
        for style, letters in (("rising", RISING), ("falling", FALLING)) for start in range(6) for _ in range(8)
    ]  # fmt: skip
    (home / "letters.jsonl").write_text("\n".join(map(json.dumps, rows)))
    train(home / "letters.jsonl", home / "run", samples=4000, settings=SMALL)
    return home


def follow(text: str, letters: str) -> float:
    """The share of letters that follow the one before as they should."""
    fits = [letters[(letters.find(a) + 1) % len(letters)] == b for a, b in pairwise(text)]
    return sum(fits) / max(1, len(fits))


def test_it_has_learned_to_write(home: Path) -> None:
    """Asked for a style, letters follow each other as they do in it, which by chance one of six would."""
    model = Model.load(home / "run")
    assert isinstance(model.modality, Text)
    assert isinstance(model.denoiser.process, Masked)
    assert model.facts.labels == ("falling", "rising")
    assert model.facts.categories == len(model.modality.words) == 2 + 6
    for label, letters in (("rising", RISING), ("falling", FALLING)):
        made = model.sample(32, label=label, steps=WINDOW)
        texts = made.modality.texts(made.data)
        assert made.data.dtype == torch.int64
        assert made.nfe == WINDOW
        assert sum(follow(text, letters) for text in texts) / len(texts) > 0.75, texts
    for name in ("samples.png", "samples.txt", "training.png", "journey.gif"):
        assert (home / "run" / "pictures" / name).is_file()


def test_guidance_makes_it_surer(home: Path) -> None:
    """Guided towards a style, what is written is likelier in it than unguided, and not the other."""
    model = Model.load(home / "run")
    for guidance in (1.0, 3.0):
        made = model.sample(512, label="rising", steps=4, guidance=guidance)
        share = sum(follow(text, RISING) for text in made.modality.texts(made.data)) / 512  # type: ignore[attr-defined]
        if guidance == 1.0:
            plain = share
    assert share >= plain - 0.02


def test_known_letters_stay_and_the_others_fit(home: Path) -> None:
    """Begun, with gaps, of a length, and beyond the window."""
    model = Model.load(home / "run")
    text = model.modality
    assert isinstance(text, Text)
    begun = write(model, ["cde", "edc"], n=8, length=10, steps=8)
    for place, found in enumerate(text.texts(begun.data)):
        assert found.startswith(("cde", "edc")[place % 2])
        assert len(found) == 10
    filled = text.texts(write(model, ["abc_ef_b____"], gap="_", more=False, steps=12).data)
    assert (filled[0][:3], filled[0][4:6], filled[0][7], len(filled[0])) == ("abc", "ef", "b", 12)
    assert follow(filled[0], RISING) > 0.7
    (long,) = text.texts(write(model, ["abc"], length=40, steps=12).data)
    assert long.startswith("abc")
    assert follow(long, RISING) > 0.6


def test_a_sample_is_the_same_in_any_batch(home: Path) -> None:
    model = Model.load(home / "run")
    whole = model.sample(5, steps=6, seed=3).data
    assert torch.equal(model.sample(5, steps=6, seed=3, batch=2).data, whole)


def test_stopped_and_resumed_to_the_bit(home: Path, tmp_path: Path) -> None:
    settings = (*SMALL, "training.checkpoint_samples=72")
    whole = train(home / "letters.jsonl", tmp_path / "whole", samples=192, settings=settings)
    train(home / "letters.jsonl", tmp_path / "parts", samples=192, settings=settings)
    for path in sorted((tmp_path / "parts" / "checkpoints").iterdir())[1:]:
        path.unlink()
    (tmp_path / "parts" / "model.safetensors").unlink()
    again = train(None, tmp_path / "parts", resume=True)
    for name, value in whole.tensors().items():
        assert torch.equal(value, again.tensors()[name]), name


def test_uniform_tokens_learn_too(home: Path, tmp_path: Path) -> None:
    """The other process: what was chosen can change again."""
    model = train(
        home / "letters.jsonl", tmp_path / "run", samples=5000, settings=(*SMALL, "process.name=uniform_tokens")
    )
    assert isinstance(model.denoiser.process, UniformTokens)
    made = model.sample(32, label="rising", steps=24)
    assert sum(follow(text, RISING) for text in made.modality.texts(made.data)) / 32 > 0.4  # type: ignore[attr-defined]


def test_training_goes_on_with_the_same_tokens(home: Path, tmp_path: Path) -> None:
    """From a model with texts of other letters: its vocabulary stays, so its weights mean what they meant."""
    (tmp_path / "other.txt").write_text("fedcbafedcba\n%\nxfedcbafedcb\n")
    model, start = train(tmp_path / "other.txt", tmp_path / "run", start=home / "run", samples=12), Model.load(home / "run")
    assert tuple(model.facts.modality["vocabulary"]) == tuple(start.facts.modality["vocabulary"])
    made = model.sample(16, steps=WINDOW)
    best = [max(follow(text, RISING), follow(text, FALLING)) for text in made.modality.texts(made.data)]  # type: ignore[attr-defined]
    assert sum(best) / 16 > 0.6


def test_every_command(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a user types, and what comes of it."""
    run, out = home / "run", tmp_path / "out"
    (tmp_path / "begun.txt").write_text("abc")
    (tmp_path / "gaps.txt").write_text("ab_de_")
    for words, name in (
        (f"sample {run} -n 3 --label rising --out {out}.txt --journey {out}.gif", "out.txt"),
        (f"sample {run} -n 3 --prompt ab --out {out}.jsonl", "out.jsonl"),
        (f"sample {run} -n 2 --length 30 --out {out}.png", "out.png"),
        (f"sample {run} -n 2 --sampler tokens --set sampler.temperature=0.5 --out {out}.npy", "out.npy"),
        (f"continue {run} {tmp_path / 'begun.txt'} --length 20 --out {out}-more.txt", "out-more.txt"),
        (f"impute {run} {tmp_path / 'gaps.txt'} --out {out}-full.txt", "out-full.txt"),
    ):
        code, _, err = call(f"{words} --steps 6 -q", capsys)
        assert (code, err) == (0, ""), words
        assert (tmp_path / name).stat().st_size
    assert len((tmp_path / "out-more.txt").read_text().strip()) <= 23
    assert (tmp_path / "out-full.txt").read_text()[:2] == "ab"
    code, told, _ = call(f"likelihood {run} {home / 'letters.jsonl'} --json", capsys)
    found = json.loads(told)
    assert code == 0
    assert 0 < found["bits_per_character"] < 1  # log2(12) / 13 is the least; log2(8) knows nothing
    code, told, _ = call(f"evaluate {run} -n 40 --steps 8 --json", capsys)
    assert code == 0
    assert {"entropy", "repeats", "copied", "frechet"} <= json.loads(told)["metrics"].keys()


@pytest.mark.parametrize(
    ("words", "expected"),
    [("impute RUN HOME/begun.txt", "has no '_' to be filled in"), ("continue RUN HOME/none.txt -l 5", "Cannot read"),
     ("continue RUN HOME/begun.txt -l 5 --prompt a", "--prompt a: a text goes on from INPUT alone"),
     ("continue RUN HOME/begun.txt -l 5 --out HOME/a.csv", "is no format of a text"),
     ("sample RUN --sampler heun --out HOME/a.txt", "Heun needs a mean of .* use reveal or tokens"),
     ("sample RUN --negative a --prompt b --guidance 2 --label rising --out HOME/a.txt", "--negative 'a'"),
     ("sample RUN --prompt abcabc --length 3 --out HOME/a.txt", "length = 3: what is given has 6 tokens"),
     ("sample RUN --out HOME/a.wav", "no such format as '.wav'"),
     ("edit RUN HOME/begun.txt --strength 0.5 --out HOME/a.png", "Editing is for models of pictures"),
     ("train HOME/begun.txt --out HOME/x --samples 8 --set process.name=gaussian", "the data is made of tokens"),
     ("train HOME/begun.txt --out HOME/x --samples 8 --set denoiser.name=regression", "tokens take categorical"),
     ("train HOME/begun.txt --out HOME/x --samples 8 --set process.name=masked --set schedule.name=linear", "alpha = 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(
    words: str, expected: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    (tmp_path / "begun.txt").write_text("abc")
    code, _, err = call(words.replace("RUN", str(home / "run")).replace("HOME", str(tmp_path)), capsys)
    assert code == 2, err
    assert re.search(expected, err)
    assert "Traceback" not in err


def test_texts_from_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is read backwards in capitals: from pairs to targets for sources that were not among them."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abc"), size=rng.integers(2, 6))) for _ in range(300)]
    rows = [{"source": word, "target": word[::-1].upper()} for word in words if word != "abcab"]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = [setting for setting in SMALL if not setting.startswith("data.size")]
    model = train(tmp_path / "pairs.jsonl", tmp_path / "run", size=6, samples=3000, settings=settings)
    text = model.modality
    assert isinstance(text, Text)
    assert model.facts.shape == (1, 12)
    made = answer(model, ["abcab", "cc"], candidates=3, steps=6)
    assert made.nfe == 18
    assert text.sources(made.data) == ["abcab", "cc"]
    right = sum(a == b for a, b in zip("".join(text.texts(made.data)), "BACBACC", strict=False))
    assert right >= 4, text.texts(made.data)
    (tmp_path / "sources.txt").write_text("ab\nba\n")
    given = f"-n 2 --given source={tmp_path / 'sources.txt'}"
    code, _, err = call(f"sample {tmp_path / 'run'} {given} --out {tmp_path / 'a.jsonl'}", capsys)
    assert code == 0, err
    assert [json.loads(line)["source"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == ["ab", "ba"]
    code, told, _ = call(f"evaluate {tmp_path / 'run'} -n 20 --steps 6 --json", capsys)
    assert code == 0
    assert json.loads(told)["metrics"]["entropy"]["floor"] > 0
    code, told, _ = call(f"likelihood {tmp_path / 'run'} {tmp_path / 'pairs.jsonl'} --json", capsys)
    assert 0 <= json.loads(told)["bits_per_character"] < 1.5  # the log of three
    for words_, expected in (
        ("-n 1", "say from which"), ("-n 1 --given source=abcabcabc", "has 9 tokens, expected 6"),
        ("-n 1 --given target=a", "--given target=a: expected source=TEXT"),
        (f"-n 1 --given source={tmp_path / 'sources.txt'}", "2 sources are given"),
    ):  # fmt: skip
        code, _, err = call(f"sample {tmp_path / 'run'} {words_} --out {tmp_path / 'b.txt'}", capsys)
        assert (code, expected in err) == (2, True), err


def test_values_and_tokens_do_not_mix(home: Path) -> None:
    model = Model.load(home / "run")
    with pytest.raises(ConfigError, match="expected \\(n, 1, 13\\)"):
        model.sample(1, known=torch.zeros(3, 3))
    with pytest.raises(ConfigError, match="the token 99: expected 0 to 7"):
        model.sample(1, known=torch.full((1, 13), 99))
    with pytest.raises(UnsupportedError, match="not of texts"):
        write(Model.create(model.config.__class__(), model.facts.__class__(shape=(1, 8, 8))), n=1)


def test_evaluation_knows_copies(home: Path) -> None:
    """Real texts are rows of the data, of which each stands there several times."""
    found = evaluate(Model.load(home / "run"), home / "letters.jsonl", n=40, steps=6)
    assert found.metrics["copied"].floor == LENGTH  # of twelve letters and an end
    assert found.metrics["entropy"].floor == pytest.approx(2.585, abs=1e-3)
    assert found.features == "grams"
