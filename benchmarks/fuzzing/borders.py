"""Readers of what a run leaves or is told by: model files, packs, configurations, the command line."""

import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from hashlib import sha256
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
from safetensors.torch import save_file

from fuzzing import seeds
from fuzzing.case import Case, FindingError, Reader
from fuzzing.mutate import NUMBERS, WORDS, mutated
from pellucid.cli import main
from pellucid.core.errors import UserError
from pellucid.core.items import Item, Origin, Record
from pellucid.data.pack import Pack
from pellucid.data.write import write_pack
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.files import SUM, read_tensors
from pellucid.model.model import Model
from pellucid.training.config import RECIPES, RunConfig, apply_settings, load_recipe

SMALL = Facts(shape=(3, 8, 8), std=0.5, labels=("cat", "dog"), captions=True)
LABELLED = Facts(shape=(3, 8, 8), std=0.5, labels=("cat", "dog"))
NETWORK = {"name": "mlp", "width": 16, "depth": 1}
SLOW = (
    "training.train.run", "model.model.Model.sample", "model.edit.edit", "model.completion.complete",
    "model.rolling.roll_on",
    "model.writing.write", "evaluation.evaluate.evaluate", "evaluation.bits.measure_bits", "interop.export.export",
    "training.solver.learn_solver", "training.shorten.tune_to_consistency", "comparison.compare.compare", "tuning.tune.tune",
    "cli.serve._listen", "evaluation.machine.examine", "evaluation.cost_curve.measure_curve",
)  # fmt: skip
"""What takes long, or listens: commands are read up to there."""
PARTS: Sequence[bytes] = (
    b"name", b"unet", b"transformer", b"mlp", b"size", b"width", b"shape", b"labels", b"captions", b"sampling",
    b"steps", b"network",
    b"schedule", b"cosine", b"edm", b"table", b"process", b"additive", b"masked", b"denoiser", b"categorical",
    b"codec", b"kl",
    b"modality", b"text", b"sound", b"series", b"joint", b"rate", b"solvers", b"guidance", b"text", b"training", b"batch",
)  # fmt: skip


def small_model(facts: Facts = SMALL) -> Model:
    return Model.create(ModelConfig(network=NETWORK, sampling={"steps": 4}), facts)


class ModelFile(Reader):
    """A model file whose metadata and header say anything."""

    words = PARTS

    def seeds(self, folder: Path) -> list[Case]:
        small_model(LABELLED).save(folder / "a.safetensors")
        metadata, tensors = read_tensors(folder / "a.safetensors")
        del metadata[SUM]  # else nothing that was changed would be looked into
        save_file(tensors, folder / "a.safetensors", metadata)
        return [Case(".safetensors", (folder / "a.safetensors").read_bytes())]

    def read(self, case: Case, folder: Path) -> str:
        file = folder / f"model{case.suffix}"
        file.write_bytes(case.data)
        Model.load(file)
        return "read"

    def deeper(self, case: Case, rng: Random) -> Case | None:
        """The header, or what is JSON within it, changed, with the length that it then has."""
        size = int.from_bytes(case.data[:8], "little")
        try:
            header = json.loads(case.data[8 : 8 + size])
            metadata = header["__metadata__"]
            key = rng.choice(("config", "facts", "card", "header"))
            if key == "header":
                text = _json(json.dumps(header).encode(), self.words, rng)
            else:
                metadata[key] = _json(metadata[key].encode(), self.words, rng).decode("utf-8", "replace")
                text = json.dumps(header).encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return Case(case.suffix, len(text).to_bytes(8, "little") + text + case.data[8 + size :])


def _json(text: bytes, words: Sequence[bytes], rng: Random) -> bytes:
    """Changed as bytes, or one value of it exchanged for another."""
    if rng.random() < 0.4:
        return mutated(Case("", text), [], words, [""], rng).data
    whole = json.loads(text)
    place = whole
    while isinstance(place, dict | list) and place:
        key: Any = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
            place = place[key]
            continue
        place[key] = rng.choice((None, True, -1, 0, 7, 10**9, 10**30, 1e308, float("nan"), "", "x", [], {}, [1, [2]],
                                 {"name": "mlp"},
                                 [8, 8, 8], rng.choice(words).decode("utf-8", "replace")))  # fmt: skip
        break
    return json.dumps(whole).encode()


class Packed(Reader):
    """A packed data set one of whose files is another."""

    words = (b"label_names", b"count", b"shape", b"content", b"version", b"captioned", b"'descr': '|O'",
             b"'shape': (", b"<f8")

    def seeds(self, folder: Path) -> list[Case]:
        pixels, both = seeds.pixels(3, 4, 4), ("one", "two")
        items: list[Record] = [Item(source=str(k), data=pixels, label="ab"[k % 2], captions=both) for k in range(5)]
        write_pack([*items, Origin(source="a", size=1, sha256="0")], folder / "whole")
        return [Case(file.name, file.read_bytes()) for file in sorted((folder / "whole").iterdir()) if file.is_file()]

    def read(self, case: Case, folder: Path) -> str:
        if not (folder / "whole").is_dir():
            self.seeds(folder)
        shutil.rmtree(folder / "pack", ignore_errors=True)
        shutil.copytree(folder / "whole", folder / "pack")
        (folder / "pack" / case.suffix).write_bytes(case.data)
        if case.suffix != "manifest.json":
            _agree(folder / "pack", case)
        pack = Pack.open(folder / "pack")
        pack[np.arange(min(2, len(pack)))]
        pack.captions(0)
        pack.rejections()
        list(pack.sources())
        pack.verify()
        return "read"

    def deeper(self, case: Case, rng: Random) -> Case | None:
        if case.suffix != "manifest.json":
            return None
        try:
            return Case(case.suffix, _json(case.data, self.words, rng))
        except (ValueError, RecursionError):
            return None


def _agree(folder: Path, case: Case) -> None:
    """Have the manifest say what there is, so that more is asked of the content than its hash."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][case.suffix] = {"size": len(case.data), "sha256": sha256(case.data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


class Configuration(Reader):
    """A recipe in TOML, or settings as words of the command line, and the model that is made of them."""

    words = (*PARTS, b"[[", b"]]", b"'''", b"= {", b"1979-05-27T07:32:00Z", b"inf", b"nan", b"0xff", b"1e400",
             b"true", b".name=")

    def seeds(self, folder: Path) -> list[Case]:
        recipes = [Case(".toml", file.read_bytes()) for file in sorted(RECIPES.glob("*.toml"))]
        RunConfig().save(folder / "whole.toml")
        settings = ("network.name=mlp\nnetwork.width=16", "schedule.name=cosine\nschedule.shift=2.5",
                    "process.name=additive",
                    "data.size=[8, 8]\ntraining.samples=64",
                    "loss.weighting.name=min_snr\nsampling.sampler=ddim")  # fmt: skip
        whole = Case(".toml", (folder / "whole.toml").read_bytes())
        return [*recipes, whole, *(Case(".set", one.encode()) for one in settings)]

    def read(self, case: Case, folder: Path) -> str:
        if case.suffix == ".set":
            words = case.data.decode("utf-8", "replace").split("\n")
            config = apply_settings(RunConfig(), [word for word in words if word])
        else:
            file = folder / f"recipe{case.suffix}"
            file.write_bytes(case.data)
            config = apply_settings(load_recipe(file), [])
        config.save(folder / "again.toml")
        if load_recipe(folder / "again.toml") != config and "nan" not in str(config):
            raise FindingError("what was saved is not what is read again")
        return "read"


class CommandLine(Reader):
    """Words of the command line, parted by line breaks; work begins, and is stopped there."""

    writes = True
    words = (
        b"--out", b"-n", b"--set", b"--steps", b"--json", b"--quiet", b"--seed", b"--device", b"--label",
        b"--prompt", b"--given",
        b"--from", b"--recipe", b"--minutes", b"--samples", b"--size", b"--condition", b"--resume", b"--sampler",
        b"--guidance",
        b"--mask", b"--strength", b"--upscale", b"--denoise", b"--length", b"--method", b"--methods", b"--format",
        b"--host", b"--help",
        b"--within", b"--quality", b"--journey", b"--grid", b"--data", b"--trials", b"--storage", b"--style", b"--negative",
        b"a.png", b"model.safetensors", b"pictures", b"cat", b"all", b"a.gif", b"x.toml", b"out",
        b"network.size=small", b"auto",
    )  # fmt: skip
    lines = (
        "sample model.safetensors -n 2 --out s.png --label cat",
        "sample model.safetensors -n 2 --out d --journey j.gif --steps 3",
        "train pictures --out run --samples 64 --set network.size=tiny", "train pictures --out run --minutes 1 --recipe gan",
        "edit model.safetensors a.png --out e.png --strength 0.5 --prompt x",
        "evaluate model.safetensors --data pictures -n 8",
        "continue model.safetensors a.csv --out c.csv --length 8", "impute model.safetensors a.csv --out c.csv",
        "likelihood model.safetensors pictures", "compare pictures --methods diffusion,vae --minutes 1 --out cmp",
        "tune pictures --trials 2 --minutes 1 --out tuned", "speedup model.safetensors --steps 4 --out fast.safetensors",
        "export model.safetensors --format onnx --out exported", "serve model.safetensors --port 0",
        "data show pictures --out p.png",
        "data pack pictures --out packed", "doctor --json", "generate cat --model model.safetensors -o g.png",
        "--version", "--help",
    )  # fmt: skip

    def seeds(self, folder: Path) -> list[Case]:  # noqa: ARG002
        return [Case(".words", line.replace(" ", "\n").encode()) for line in self.lines]

    def made(self, rng: Random) -> Case | None:
        line = rng.choice(self.lines).split()
        more = [rng.choice((*self.words, *WORDS, *NUMBERS)) for _ in range(rng.randrange(5))]
        for word in more:
            line.insert(rng.randrange(1, len(line) + 1), word.decode("utf-8", "replace"))
        return Case(".words", "\n".join(line).encode())

    def read(self, case: Case, folder: Path) -> str:
        _furnish(folder)
        words = [word.replace("\0", "") for word in case.data.decode("utf-8", "surrogateescape").split("\n")]
        words = [word for word in words if word != "fetch" and "completion" not in word]  # they ask the network, the shell
        told, shown = StringIO(), StringIO()
        with ExitStack() as stack:
            for place in SLOW:
                stack.enter_context(patch(f"pellucid.{place}", _reached))
            stack.enter_context(patch.object(sys, "argv", ["pellucid", *words]))
            stack.enter_context(redirect_stderr(told))
            stack.enter_context(redirect_stdout(shown))
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        if code not in (0, 2) or "Traceback" in told.getvalue():
            raise FindingError(f"exit {code}: {told.getvalue()[-500:]}")
        if code and not (told.getvalue() + shown.getvalue()).strip():
            raise FindingError("exit 2 without a word")
        return f"exit {code}"


def _reached(*_: Any, **__: Any) -> Any:
    raise UserError("the work begins")


def _furnish(folder: Path) -> None:
    """What words may name."""
    if (folder / "model.safetensors").is_file() and (folder / "pictures" / "a.png").is_file():
        return
    small_model(LABELLED).save(folder / "model.safetensors")
    (folder / "pictures").mkdir(exist_ok=True)
    for name in ("a.png", "pictures/a.png", "pictures/b.png"):
        (folder / name).write_bytes(seeds.picture())
    (folder / "a.csv").write_bytes(next(iter(seeds.series())).data)
    (folder / "x.toml").write_text("[network]\nname = 'mlp'\n", encoding="utf-8")
