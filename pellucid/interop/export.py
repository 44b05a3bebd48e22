"""A model handed to other programs: ONNX files, or a folder that diffusers loads; checked, with a card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import getsourcefile
from pathlib import Path
from shutil import copyfile
from typing import Any, Literal

import numpy as np

from pellucid.conditioners import words
from pellucid.conditioners.caption import Caption
from pellucid.conditioners.known_tokens import KnownTokens
from pellucid.conditioners.reader import Reader
from pellucid.core.errors import ConfigError, UserError
from pellucid.core.files import atomic_folder
from pellucid.interop.diffusers_export import BASE, export_diffusers
from pellucid.interop.model_card import Origin, card, end_rows, facts, ranges, table
from pellucid.interop.onnx_export import DECODER, LOOP, STEP, Written, export_onnx
from pellucid.interop.onnx_step import PROMPTS, example_of
from pellucid.interop.run_code import CONDITIONS, loop_code, step_code
from pellucid.model.config import Section
from pellucid.model.model import Model

Format = Literal["onnx", "diffusers"]
README, FACTS, WORDS = "README.md", "model.json", "words.py"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how far it is from torch: the greatest difference, relative to the greatest value, by name.

    Attributes:
        open_axes: what is left open of what goes in.
    """

    files: tuple[str, ...]
    differences: dict[str, float]
    open_axes: tuple[str, ...] = ()


def export(
    model: Model, out: Path | str, *, format: Format = "onnx", origin: Origin | None = None, loop: bool = False,
    seed: int = 0, **sampling: Any,
) -> Exported:  # fmt: skip
    """Write a model for other programs into a new folder, whole or not at all.

    Arguments:
        format: "onnx", files that ONNX Runtime runs without this package; "diffusers", for a network that came from there.
        origin: what its card says besides what the model knows.
        loop: of ONNX, all of sampling as one graph too.
        seed: of the samples that are compared with torch.
        sampling: of the loop: sampler, steps, grid, guidance and so on, as for `Model.sample`.

    Raises:
        UserError: the folder is not empty; what was asked cannot be; or what was written differs from the model.
    """
    place, origin = Path(out), origin or Origin(name=Path(out).name)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UserError(f"'{place}' is there already and not an empty folder: expected a new one")
    with atomic_folder(place) as folder:
        axes = list[str]()
        if format == "diffusers":
            differences = {"pipeline": export_diffusers(model, folder, seed)}
            known = _pipeline_sections(model, differences["pipeline"], based=(folder / BASE).is_file())
            text = card(model, origin, "a pipeline of diffusers", known)
        else:
            config = _settings(model, sampling) if loop else None
            written = export_onnx(model, folder, config, seed)
            beside = _beside(model, folder)
            differences = {one.name: one.difference for one in written}
            axes = [word for shape, _ in written[0].inputs.values() for word in shape.split(" x ") if not word.isdigit()]
            text = card(model, origin, "ONNX", _graph_sections(model, written, beside, config))
        (folder / README).write_text(text, encoding="utf-8")
        files = tuple(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()))
    return Exported(files=files, differences=differences, open_axes=tuple(dict.fromkeys(axes)))


def _settings(model: Model, asked: Section) -> Section:
    """The complete section of sampling; guidance is off where nothing can be asked for."""
    config = model.sampling(**asked)
    told = model.facts.labels or model.facts.captions
    if not told and config["against"] == "null" and float(config["guidance"]) != 1:
        if asked.get("guidance") is not None:
            raise ConfigError(f"guidance = {asked['guidance']:g}: the model has neither labels nor captions to be guided to")
        config["guidance"] = 1.0
    return config


def _beside(model: Model, folder: Path) -> dict[str, str]:
    """Write what code needs besides graphs: facts, and how captions become numbers. Names of files, and what they are."""
    (folder / FACTS).write_text(facts(model), encoding="utf-8")
    found = {FACTS: "all that is known of the model but its weights"}
    reader = model.conditioners.get("caption")
    if isinstance(reader, Caption):
        copyfile(getsourcefile(words) or "", folder / WORDS)
        found[WORDS] = "captions as numbers, a file of pellucid (Apache-2.0)"
    elif isinstance(reader, Reader):
        np.savez(folder / CONDITIONS, caption=reader.parse(list(PROMPTS), len(PROMPTS)).numpy())
        found[CONDITIONS] = "two captions as numbers: " + ", ".join(f'"{prompt}"' for prompt in PROMPTS)
    return found


def _graph_sections(
    model: Model, written: Sequence[Written], beside: Mapping[str, str], config: Section | None
) -> dict[str, str]:
    """Of the card: the files, what goes in and out of them, and code that runs them."""
    meanings, by_name = _meanings(model), {one.name: one for one in written}
    example = example_of(model, 2, model.codec.latent_shape(model.facts.shape), 0)
    drawn = [(name, tuple(value.shape[1:])) for name, value in example.drawn.items()]
    rows = [[f"`{one.name}`", SAID[one.name], f"{one.difference:.1g} of the largest value ({one.compared})"]
            for one in written]  # fmt: skip
    rows += [[f"`{name}`", what, ""] for name, what in beside.items()]
    sections = {"Files": table(["file", "what it is", "differs from torch by"], rows)}
    for one in written:
        ends = [*end_rows(one.inputs, meanings, "in"), *end_rows(one.output, meanings, "out")]
        sections[one.name] = table(["", "name", "shape", "type", "what"], ends)
    sections["Run it"] = (
        "With NumPy and ONNX Runtime alone, in this folder. Guidance of weight w is none + w (asked - none), two calls.\n\n"
        f"```python\n{step_code(model, drawn, list(by_name[STEP].inputs))}\n```"
    )
    if config is not None:
        own = model.codec.latent_shape(model.facts.shape)
        numbers = [(name, _sizes(shape, own)) for name, (shape, _) in by_name[LOOP].inputs.items()
                   if name in ("noise", "fresh", *example.drawn)]  # fmt: skip
        sections["Or in one call"] = f"{_in_words(config)}\n\n```python\n{loop_code(model, numbers)}\n```"
    return sections


def _sizes(shape: str, own: Sequence[int]) -> tuple[int, ...]:
    """Of one sample's numbers, as the graph tells them; of axes that are open, which are the last, the model's own."""
    sizes = shape.split(" x ")[1:]
    return tuple(int(size) if size.isdigit() else own[place - len(sizes)] for place, size in enumerate(sizes))


def _in_words(config: Section) -> str:
    """How the loop samples."""
    named = {key: value["name"] if isinstance(value, Mapping) else value for key, value in config.items()}
    away = f" away from {AWAY[named['against']]}" if float(named["guidance"]) != 1 else ""
    grid = f" on the grid {named['grid']}" if named.get("grid") else ""
    return f"Sampler {named['sampler']}, {named['steps']} steps{grid}, guidance {named['guidance']:g}{away}."


AWAY = {"null": "what is expected anyway", "weak": "the model as it was early in training"}
SAID = {
    STEP: "one call of the denoiser", DECODER: "from what is diffused to samples",
    LOOP: "all of sampling: noise in, samples out",
}  # fmt: skip


def _meanings(model: Model) -> dict[str, str]:
    """Of inputs and outputs, by their names."""
    facts, offers = model.facts, model.denoiser.offers
    x0 = "the mean of clean data given x_t" if "mean" in offers else "a draw of clean data given x_t"
    known = "-1" if isinstance(model.conditioners.get("given"), KnownTokens) else "NaN"
    return {
        "x_t": "noisy tokens" if facts.categories else "noisy data: alpha_t x0 + sigma_t noise",
        "t": "time: 0 is data, 1 noise", "x0": x0, "log_p": "log-probabilities of each token",
        "z": "what is diffused", "samples": ranges(model), "noise": "standard normal: what sampling starts from",
        "fresh": "standard normal: what is added on the way", "latent": "standard normal: what the answer is drawn by",
        "around": "standard normal: what the answer differs by", "label": f"a class, {len(facts.labels)} for none",
        "caption": 'see "Captions"', "given": f"what is known of the samples, {known} where nothing is",
    }  # fmt: skip


def _pipeline_sections(model: Model, difference: float, *, based: bool) -> dict[str, str]:
    prompt = '"a red heart"' if model.facts.captions else ""
    came = {"What it came from": f"{BASE}, with terms that go on to hold for what came from it."} if based else {}
    return {**came, "Run it": (
        f"In this folder; one trajectory differs from pellucid's by {difference:.1g} of the largest value.\n\n```python\n"
        "from diffusers import DiffusionPipeline\n\n"
        f'pipeline = DiffusionPipeline.from_pretrained(".")\npipeline({prompt}).images[0].save("sample.png")\n```'
    )}  # fmt: skip
