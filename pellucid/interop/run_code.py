"""The code that runs exported files with ONNX Runtime and NumPy alone, as their card shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from pellucid.codecs.identity import Identity
from pellucid.conditioners.caption import WEIGHTS, Caption
from pellucid.conditioners.known_tokens import KnownTokens
from pellucid.conditioners.label import Label
from pellucid.conditioners.words import PIECES
from pellucid.interop.onnx_loop import graphic, prior_scales
from pellucid.interop.onnx_step import takes
from pellucid.interop.plan import Plan
from pellucid.modalities.text import Text
from pellucid.modalities.vocabulary import FIRST
from pellucid.model.assemble import assemble_sampler
from pellucid.model.model import Model
from pellucid.processes.discrete import Discrete

STEPS = 20
"""Of the sampling that is shown, unless the model is made for a number."""
CONDITIONS = "conditions.npz"
"""Entries of conditions that code of a few lines cannot make."""


@dataclass(frozen=True)
class Asking:
    """How code asks for something: what it imports, the lines that make the entries, and what is fed by which name."""

    imports: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    fed: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model) -> "Asking":
        """For `n` samples: labels in turn, a caption, nothing that is given."""
        parts = [_entry(name, one) for name, one in model.conditioners.items() if takes(model.denoiser, name)]
        return cls(
            tuple(line for part in parts for line in part.imports), tuple(line for part in parts for line in part.lines),
            tuple(fed for part in parts for fed in part.fed),
        )  # fmt: skip


def step_code(model: Model, drawn: Sequence[tuple[str, tuple[int, ...]]], inputs: Sequence[str]) -> str:
    """Sampling with model.onnx: `drawn` are what it draws by, and the sizes of those; `inputs` the names of all it takes."""
    asking, process = Asking.of(model), model.denoiser.process
    fed = ['"x_t": x', '"t": np.full(n, t, np.float32)'] if "t" in inputs else ['"x_t": x']
    fed += [f'"{name}": rng.standard_normal((n, {_listed(size)}), dtype=np.float32)' for name, size in drawn]
    call = f"model.run(None, {{{', '.join([*fed, *asking.fed])}}})[0]"
    lines = ['model = onnxruntime.InferenceSession("model.onnx")', *_beginning(asking)]
    if isinstance(process, Discrete):
        lines += _tokens(model, process, call)
    elif process.gaussian:
        lines += _values(model, call)
    else:
        lines += [f"x = rng.standard_normal({_shape(model)}, dtype=np.float32)", "t = 1.0", f"x = {call}  # one call of the "
                  "denoiser: the mean of clean data for this noise"]  # fmt: skip
    if not isinstance(graphic(model.codec), Identity):
        lines += ['x = onnxruntime.InferenceSession("decoder.onnx").run(None, {"z": x})[0]']
    lines.append('np.save("samples.npy", x)')
    if isinstance(model.modality, Text):
        lines += _shown(model.modality)
    return _code(asking, lines)


def loop_code(model: Model, drawn: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    """Sampling with loop.onnx."""
    asking = Asking.of(model)
    fed = [f'"{name}": rng.standard_normal((n, {_listed(size)}), dtype=np.float32)' for name, size in drawn]
    feed = ",\n    ".join([*fed, *asking.fed])
    lines = ['loop = onnxruntime.InferenceSession("loop.onnx")', *_beginning(asking),
             f"samples = loop.run(None, {{\n    {feed},\n}})[0]", 'np.save("samples.npy", samples)']  # fmt: skip
    return _code(asking, lines)


def _beginning(asking: Asking) -> list[str]:
    return ["n, rng = 4, np.random.default_rng(0)", *asking.lines]


def _code(asking: Asking, lines: Sequence[str]) -> str:
    return "\n".join(["import numpy as np", "import onnxruntime", *asking.imports, "", *lines])


def _entry(name: str, conditioner: Any) -> Asking:
    """Of one condition."""
    fed = (f'"{name}": {name}',)
    if isinstance(conditioner, Label):
        count = len(conditioner.names)
        return Asking((), (f"label = np.arange(n) % {count}  # one by one; {count} asks for none",), fed)
    if isinstance(conditioner, Caption):
        return Asking(("from words import pieces, split  # the file beside this one",), _caption(conditioner.length), fed)
    if name == "given":
        tokens = isinstance(conditioner, KnownTokens)
        filled = "-1, np.int64" if tokens else "np.nan, np.float32"
        shape = conditioner.shape if hasattr(conditioner, "shape") else conditioner.whole.shape
        line = f"given = np.full((n, {_listed(shape)}), {filled})  # put what is known into its place"
        return Asking((), (line,), fed)
    return Asking((), (f'{name} = np.load("{CONDITIONS}")["{name}"][np.arange(n) % 2]  # see "Captions"',), fed)


def _caption(length: int) -> tuple[str, ...]:
    return (
        "", "", "def read(text):",
        f"    rows = np.full(({length}, {1 + PIECES}), -1, np.int64)  # so many words are read, each by its pieces",
        f"    rows[:, 0] = {WEIGHTS}  # of how much each counts, in thousandths",
        "    for row, word in zip(rows, split(text)):",
        "        row[1 : 1 + len(pieces(word))] = pieces(word)",
        "    return rows", "", "", 'caption = np.stack([read("a red heart")] * n)',
    )  # fmt: skip


def _values(model: Model, call: str) -> list[str]:
    """Steps x = a x + b x0 + c noise, each row with its time."""
    table, (centre, scale) = step_table(model), prior_scales(model)
    noisy = any(row[3] for row in table)
    noise = " + c * rng.standard_normal(x.shape, dtype=np.float32)" if noisy else ""
    names = "t, a, b, c" if noisy else "t, a, b"
    rows = [f"    ({', '.join(f'{number:.9g}' for number in row[: 4 if noisy else 3])})," for row in table]
    return [
        f"steps = [  # {names}: at time t, x becomes a x + b x0{' + c noise' if noisy else ''}", *rows, "]",
        f"x = {_times(centre, scale)}rng.standard_normal({_shape(model)}, dtype=np.float32)",
        f"for {names} in steps:", f"    x0 = {call}", f"    x = a * x + b * x0{noise}",
    ]  # fmt: skip


def _times(centre: float, scale: float) -> str:
    """What stands before the noise that sampling starts from."""
    return (f"{centre:.9g} + " if centre else "") + ("" if scale == 1 else f"{scale:.9g} * ")


def step_table(model: Model) -> list[tuple[float, float, float, float]]:
    """(t, a, b, c) of each step, of the simplest sampler for the model: DDIM, or what a denoiser of draws is made for."""
    process, denoiser = model.denoiser.process, model.denoiser
    own = model.sampling(sampler=None if "sample" in denoiser.offers else "ddim", steps=None, learned=False)
    if "sample" not in denoiser.offers:
        own |= {"steps": min(STEPS, int(own["steps"]))}
    sampler, grid = assemble_sampler(own, process.schedule)
    times = torch.unique(process.snap(grid(process.schedule, own["steps"]))).flip(0)
    table = []
    for pair in pairwise(times):
        plan = Plan.of(sampler, process, torch.stack(pair))
        first, *noise, answer = plan.last.tolist()
        table.append((float(pair[0]), first, answer, sum(noise)))
    return table


def _tokens(model: Model, process: Discrete, call: str) -> list[str]:
    """Steps from the distribution of x_s for that of x0."""
    count, steps = process.categories, min(4 * STEPS, max(model.facts.shape[1:]))
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    alphas = process.schedule.alpha(times).tolist()
    rows = [f"    ({t:.6g}, {a:.6g}, {b:.6g})," for t, a, b in zip(times.tolist(), alphas, alphas[1:], strict=False)]
    table = ["steps = [  # t, and the shares of tokens that are clean at t and after the step", *rows, "]"]
    if process.absorbing:
        return [
            *table, f"x = np.full({_shape(model)}, {count})  # all hidden", "for t, now, then in steps:",
            f"    log_p = {call}", "    drawn = (log_p + rng.gumbel(size=log_p.shape)).argmax(-1)",
            f"    shown = (x == {count}) & (rng.random(x.shape) < (then - now) / (1 - now))",
            "    x = np.where(shown, drawn, x)",
        ]  # fmt: skip
    return [
        *table, f"x = rng.integers({count}, size={_shape(model)})", "for t, now, then in steps:", f"    p = np.exp({call})",
        f"    here, other, stay = np.eye({count}, dtype=bool)[x], (1 - now) / {count}, now / then",
        "    likely = p / np.where(here, now + other, other)",
        f"    came = np.where(here, stay + (1 - stay) / {count}, (1 - stay) / {count})",
        f"    q = came * (then * likely + (1 - then) / {count} * likely.sum(-1, keepdims=True))",
        "    x = (np.log(q) + rng.gumbel(size=q.shape)).argmax(-1)",
    ]  # fmt: skip


def _shown(text: Text) -> list[str]:
    """Texts from the numbers of their tokens, of which 0 ends a text."""
    decoded = {
        "characters": '"".join(tokens[number - 1] for number in row)',
        "bytes": f'bytes(number - {FIRST} for number in row if number >= {FIRST}).decode(errors="replace")',
        "pairs": f"tokens.decode([number - {FIRST} for number in row]).removeprefix({''.join(text.vocabulary[1:])!r})",
    }
    read = 'json.loads(Path("model.json").read_text(encoding="utf-8"))["facts"]["modality"]["vocabulary"]'
    known = {
        "characters": ["import json", "from pathlib import Path", "", f'tokens = ["?", *{read}]'],
        "bytes": [""],
        "pairs": ["import json", "from pathlib import Path", "from tokenizers import Tokenizer", "",
                  f"tokens = Tokenizer.from_str({read}[0])"],
    }  # fmt: skip
    return ["", *known[text.tokens], "for row in x[:, 0].tolist():", "    row = row[: [*row, 0].index(0)]",
            f"    print({decoded[text.tokens]})"]  # fmt: skip


def _shape(model: Model) -> str:
    return f"(n, {_listed(model.codec.latent_shape(model.facts.shape))})"


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
