"""All of sampling as one graph: noise in, samples out, the network in it once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.codecs.codec import Codec
from pellucid.codecs.identity import Identity
from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Keyed
from pellucid.denoisers.denoiser import Denoiser
from pellucid.interop.autoencoder import Autoencoder
from pellucid.interop.onnx_graph import Axes, graph_of
from pellucid.interop.onnx_step import Example, Handed, said, same_rows
from pellucid.interop.onnx_words import Words
from pellucid.interop.plan import Plan
from pellucid.model.assemble import assemble_sampler, guided
from pellucid.model.config import Section
from pellucid.model.model import Model
from pellucid.processes.continuous import Continuous
from pellucid.samplers.sampler import Sampler

NOW = "_now"
"""How names of what one evaluation takes of the numbers that are drawn end."""


def graphic(codec: Codec) -> Codec:
    """The codec, where it is a network and a graph can decode by it; else none, and samples stay as they were diffused."""
    return codec if codec.learned or isinstance(codec, Autoencoder) else Identity()


def kept(made: Tensor, given: Tensor | None) -> Tensor:
    """Samples with what was given of them as it was."""
    return made if given is None else torch.where(given.isnan(), made, given)


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A sampler with its model: what it takes, and the graph.

    Arguments:
        model: of values.
        config: a complete `sampling` section.
        sampler, times: that it names, on its grid.
        example: what the model is asked.
    """

    model: Model
    config: Section
    sampler: Sampler
    times: Tensor
    example: Example

    @classmethod
    def of(cls, model: Model, config: Section, example: Example) -> Self:
        """With the sampler of `config`, as `Model.sample` would run it.

        Raises:
            UnsupportedError: a sampler that is not for this model, or whose steps are no graph.
        """
        process = model.denoiser.process
        sampler, grid = assemble_sampler(config, process.schedule)
        sampler.check(guided(model.denoiser, config, model.weak))
        if not isinstance(process, Continuous):
            raise UnsupportedError("Tokens are drawn, which is no loop of a graph: leave --loop out; the card has the code "
                                   "that draws them with model.onnx")
        if not process.gaussian:
            raise UnsupportedError(f"The noise of {type(process).__name__} is not Gaussian, and is drawn increment by "
                                   "increment: leave --loop out")  # fmt: skip
        times = torch.unique(process.snap(grid(process.schedule, config["steps"]))).flip(0)
        return cls(model=model, config=config, sampler=sampler, times=times, example=example)

    @cached_property
    def plan(self) -> Plan:
        return Plan.of(self.sampler, self.model.denoiser.process, self.times)

    @property
    def denoiser(self) -> Denoiser:
        """With its guidance."""
        return guided(self.model.denoiser, self.config, self.model.weak)

    def inputs(self, draws: Keyed) -> dict[str, Tensor]:
        """What the graph takes, so that it makes the samples of `Model.sample` with these draws."""
        plan, shape = self.plan, self.example.x_t.shape[1:]
        drawn = {"noise": draws.normal("prior", 0, shape)}
        if plan.noises:
            drawn["fresh"] = torch.stack([draws.normal(purpose, step, shape) for purpose, step in plan.noises], 1)
        for name, one in self.example.drawn.items():
            drawn[name] = torch.stack([draws.normal(name, step, one.shape[1:]) for step in plan.steps], 1)
        return {**{name: value.float() for name, value in drawn.items()}, **self.example.cond}

    @torch.no_grad()
    def samples(self, draws: Keyed) -> Tensor:
        """What the graph makes of these inputs, made by the sampler itself."""
        cond, (model, process) = self.example.cond, (self.model, Continuous.of(self.model.denoiser.process))
        eps = process.noise(draws, "prior", 0, self.example.x_t.shape[1:], self.times[0])
        x = process.prior(eps, mean=model.facts.mean, std=model.facts.std).float()
        x = self.sampler.sample(self.denoiser, x, self.times, draws=draws, cond=cond or None)
        return kept(graphic(model.codec).decode(x), cond.get("given"))

    def graph(self, axes: Mapping[str, Axes]) -> Any:
        """An `onnx.ModelProto`. `axes` are those of `Example.inputs`."""
        plan, (n, width) = self.plan, self.plan.rows.shape
        state = axes["x_t"]
        beside = {0: state[0], **{axis + 1: size for axis, size in state.items() if axis}}
        scanned = {
            "row": plan.rows.float().numpy(), "place": np.eye(width, dtype=np.float32)[width - n :], "t": plan.times.numpy()
        }
        return join(self._start(state, beside), self._body(axes, beside), self._finish(axes, beside), scanned,
                    list(self.example.drawn))  # fmt: skip

    @property
    def _held(self) -> Tensor:
        """Room for all that is known: noises and answers, (B, m + n, *shape)."""
        rows, *shape = self.example.x_t.shape
        return torch.zeros(rows, len(self.plan.last), *shape)

    def _start(self, state: Axes, beside: Axes) -> Any:
        count = len(self.plan.noises)
        noises = {"noise": self._held[:, 0], **({"fresh": self._held[:, 1 : 1 + count]} if count else {})}
        module = _Start(self.model, len(self.plan.times))
        return graph_of(module, noises, {"noise": state, "fresh": beside}, "held", "The start of sampling")

    def _body(self, axes: Mapping[str, Axes], beside: Axes) -> Any:
        plan, example = self.plan, self.example
        now = {f"{name}{NOW}": value for name, value in example.drawn.items()}
        each = {"row": plan.rows[0].float(), "place": plan.last.float(), "t": plan.times[0]}
        known = {"state": beside, **{name: {0: beside[0]} for name in now}, **{name: axes[name] for name in example.cond}}
        module = _Body(self.denoiser, list(example.drawn), list(example.cond))
        called = type(self.model.denoiser).__name__
        return graph_of(module, {"state": self._held, **each, **now, **example.cond}, known, "next", called)

    def _finish(self, axes: Mapping[str, Axes], beside: Axes) -> Any:
        given = {name: value for name, value in self.example.cond.items() if name == "given"}
        known = {"end": beside, **{name: axes[name] for name in given}}
        called = type(self.model.codec).__name__
        return graph_of(_Finish(self.model, self.plan.last), {"end": self._held, **given}, known, "samples", called)


class _Start(nn.Module):
    """noise (B, *shape), and fresh (B, m - 1, *shape) if any -> all that is known at the beginning, (B, m + n, *shape)."""

    def __init__(self, model: Model, evaluations: int) -> None:
        super().__init__()
        self.centre, self.scale = prior_scales(model)
        self.evaluations = evaluations

    def forward(self, *tensors: Tensor) -> Tensor:
        noise, *fresh = tensors
        first = (self.centre + self.scale * noise).unsqueeze(1)
        rest = torch.zeros_like(first).expand(-1, self.evaluations, *first.shape[2:])
        return torch.cat([first, *fresh, rest], dim=1)


class _Body(nn.Module):
    """One evaluation: the state that a row makes of all that is known, and the answer put in its place."""

    def __init__(self, denoiser: Denoiser, drawn: Sequence[str], conditions: Sequence[str]) -> None:
        super().__init__()
        self.denoiser, self.drawn, self.conditions = denoiser, drawn, conditions

    def forward(self, *tensors: Tensor) -> Tensor:
        held, row, place, t, *rest = tensors
        same_rows(held, *rest)
        drawn = dict(zip(self.drawn, rest, strict=False))
        cond = dict(zip(self.conditions, rest[len(drawn) :], strict=True))
        x = mixed(row, held)
        with Words():
            x0 = said(self.denoiser, x, t.expand(x.shape[0]), Handed(drawn), cond)
        return held + place.reshape(-1, *[1] * (held.ndim - 2)) * x0.unsqueeze(1)


class _Finish(nn.Module):
    """Samples from all that is known in the end, decoded; what was given stays as it was."""

    def __init__(self, model: Model, last: Tensor) -> None:
        super().__init__()
        self.codec = graphic(model.codec)
        self.register_buffer("last", last.float())

    def forward(self, *tensors: Tensor) -> Tensor:
        held, *given = tensors
        assert isinstance(self.last, Tensor)
        with Words():
            made = self.codec.decode(mixed(self.last, held))
        return kept(made, given[0] if given else None)


def prior_scales(model: Model) -> tuple[float, float]:
    """(centre, scale) of the first state: centre + scale noise."""
    process, ends = Continuous.of(model.denoiser.process), torch.arange(2, dtype=torch.float64)
    centre, other = process.prior(ends, mean=model.facts.mean, std=model.facts.std).tolist()
    return centre, other - centre


def mixed(row: Tensor, held: Tensor) -> Tensor:
    """The sum of what is known (B, W, *shape), each times its share in a row (W,)."""
    return (row @ held.flatten(2)).reshape(held.shape[0], *held.shape[2:])


def join(start: Any, body: Any, finish: Any, scanned: Mapping[str, NDArray[Any]], drawn: Sequence[str]) -> Any:
    """One graph of three: the second is run for each row of `scanned`, and of what is drawn for each of its second axis."""
    from onnx import compose, helper, numpy_helper

    for model, prefix in ((start, "start/"), (body, "body/"), (finish, "finish/")):
        compose.add_prefix_graph(model.graph, prefix, rename_inputs=False, rename_outputs=False, inplace=True)
    inner = {one.name: one for one in body.graph.input}
    once = ["state", *scanned, *(f"{name}{NOW}" for name in drawn)]
    conditions = [one for one in body.graph.input if one.name not in once]
    del body.graph.input[:]
    body.graph.input.extend(inner[name] for name in once)
    tables = [numpy_helper.from_array(value, f"{name}s") for name, value in scanned.items()]
    scan = helper.make_node(
        "Scan", ["held", *(table.name for table in tables), *drawn], ["end"], name="loop", body=body.graph,
        num_scan_inputs=len(once) - 1, scan_input_axes=[0] * len(tables) + [1] * len(drawn),
    )  # fmt: skip
    numbers = []
    for name in drawn:
        shape = inner[f"{name}{NOW}"].type.tensor_type.shape.dim
        sizes = [one.dim_param or one.dim_value for one in shape]
        numbers.append(helper.make_tensor_value_info(name, 1, [sizes[0], len(scanned["t"]), *sizes[1:]]))
    graph = helper.make_graph(
        [*start.graph.node, scan, *finish.graph.node], "sampling", [*start.graph.input, *numbers, *conditions],
        finish.graph.output, [*start.graph.initializer, *tables, *finish.graph.initializer],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=body.opset_import, ir_version=body.ir_version, producer_name="pellucid",
                             functions=[*start.functions, *body.functions, *finish.functions])  # fmt: skip
