"""All of sampling as one graph: noise in, samples out, the network in it once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
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

FLOAT = 1
"""The number of float32 in ONNX."""
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

    def graph(self, axes: Mapping[str, Axes], decoder: Any = None) -> Any:
        """An `onnx.ModelProto`.

        Arguments:
            axes: those of `Example.inputs`.
            decoder: the graph that decodes, where a network does.
        """
        plan, example = self.plan, self.example
        rows, *shape = example.x_t.shape
        now = {f"{name}{NOW}": value for name, value in example.drawn.items()}
        taken = {
            "held_before": torch.zeros(rows, len(plan.last), *shape), "x_before": example.x_t,
            "row": plan.last.float(), "place": plan.last.float(), "t": plan.times[0], **now, **example.cond,
        }  # fmt: skip
        state = axes["x_t"]
        known = {
            "held_before": {0: state[0], **{axis + 1: size for axis, size in state.items() if axis}}, "x_before": state,
            **{name: {0: state[0]} for name in now}, **{name: axes[name] for name in example.cond},
        }  # fmt: skip
        module = _Body(self.denoiser, list(example.drawn), list(example.cond))
        body = graph_of(module, taken, known, ["held_after", "x_after"], type(self.model.denoiser).__name__)
        return _Frame(plan, body, decoder, list(example.drawn)).graph(*prior_scales(self.model))


class _Body(nn.Module):
    """One evaluation: the answer goes to its place among all that is known, of which a row makes the next state."""

    def __init__(self, denoiser: Denoiser, drawn: Sequence[str], conditions: Sequence[str]) -> None:
        super().__init__()
        self.denoiser, self.drawn, self.conditions = denoiser, drawn, conditions

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        held, x, row, place, t, *rest = tensors
        same_rows(x, held, *rest)
        drawn = dict(zip(self.drawn, rest, strict=False))
        cond = dict(zip(self.conditions, rest[len(drawn) :], strict=True))
        with Words():
            x0 = said(self.denoiser, x, t.expand(x.shape[0]), Handed(drawn), cond)
        held = held + place.reshape(-1, *[1] * x.ndim)[:, 0] * x0.unsqueeze(1)
        return held, (row @ held.flatten(2)).reshape(x.shape)


def prior_scales(model: Model) -> tuple[float, float]:
    """(centre, scale) of the first state: centre + scale noise."""
    process, ends = Continuous.of(model.denoiser.process), torch.arange(2, dtype=torch.float64)
    centre, other = process.prior(ends, mean=model.facts.mean, std=model.facts.std).tolist()
    return centre, other - centre


@dataclass(frozen=True)
class _Frame:
    """What stands around the body: all that is known in the beginning, the loop, decoding.

    Attributes:
        body: run once for each evaluation of the plan.
        decoder: from "z" to "samples", or None.
        drawn: numbers that each evaluation takes some of.
    """

    plan: Plan
    body: Any
    decoder: Any
    drawn: Sequence[str]

    def graph(self, centre: float, scale: float) -> Any:
        """The whole."""
        from onnx import compose, helper, numpy_helper

        inner, given = self.body.graph, [one for one in self.body.graph.input if one.name == "given"]
        compose.add_prefix_graph(inner, "body/", rename_inputs=False, rename_outputs=False, inplace=True)
        inputs, tables, scan = self._scan("z" if self.decoder else "made" if given else "samples")
        numbers = {"centre": centre, "scale": scale, "nothing": 0.0}
        constants = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in numbers.items()]
        nodes, last = [*self._beginning(), scan], [*constants, *tables]
        samples = [helper.make_tensor_value_info("samples", FLOAT, _sizes(inputs[0]))]
        if given:
            nodes += [helper.make_node("IsNaN", ["given"], ["open"]),
                      helper.make_node("Where", ["open", "made", "given"], ["samples"])]  # fmt: skip
        if self.decoder:
            decoder = compose.add_prefix_graph(self.decoder.graph, "decoder/", rename_inputs=False, rename_outputs=False)
            nodes, last, samples = [*nodes, *decoder.node], [*last, *decoder.initializer], decoder.output
        return helper.make_model(
            helper.make_graph(nodes, "sampling", inputs, samples, last), opset_imports=self.body.opset_import,
            ir_version=self.body.ir_version, producer_name="pellucid",
        )  # fmt: skip

    def _beginning(self) -> list[Any]:
        """Of the noises: all that is known, with room for the answers, and the state that is evaluated first."""
        from onnx import helper

        n, fresh = len(self.plan.times), ["fresh"] if self.plan.noises else []
        axis = helper.make_node("Constant", [], ["axis"], value_ints=[1])
        nodes = [
            axis, helper.make_node("Mul", ["noise", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "centre"], ["first"]),
            helper.make_node("Unsqueeze", ["first", "axis"], ["beside"]),
            helper.make_node("Mul", ["beside", "nothing"], ["empty"]),
            helper.make_node("Concat", ["beside", *fresh, *["empty"] * n], ["held"], axis=1),
        ]  # fmt: skip
        terms = []
        for place, share in enumerate(self.plan.rows[0, : 1 + len(self.plan.noises)].tolist()):
            if share:
                known, size, term = (f"{word}{place}" for word in ("known", "share", "term"))
                nodes += [helper.make_node("Constant", [], [f"at{place}"], value_int=place),
                          helper.make_node("Gather", ["held", f"at{place}"], [known], axis=1),
                          helper.make_node("Constant", [], [size], value_float=share),
                          helper.make_node("Mul", [known, size], [term])]  # fmt: skip
                terms.append(term)
        return [*nodes, helper.make_node("Sum", terms, ["x"])]

    def _scan(self, output: str) -> tuple[list[Any], list[Any], Any]:
        """The inputs of the whole, the tables of the plan, and the loop."""
        from onnx import helper, numpy_helper

        plan, graph = self.plan, self.body.graph
        n, width = plan.rows.shape
        taken = {one.name: one for one in graph.input}
        values = {
            "row": torch.cat([plan.rows[1:], plan.last[None]]).float().numpy(),
            "place": np.eye(width, dtype=np.float32)[width - n :], "t": plan.times.numpy(),
        }  # fmt: skip
        tables = [numpy_helper.from_array(value, f"{name}s") for name, value in values.items()]
        once = ["held_before", "x_before", *values, *(f"{name}{NOW}" for name in self.drawn)]
        del graph.input[:]
        graph.input.extend(taken[name] for name in once)
        scan = helper.make_node(
            "Scan", ["held", "x", *(table.name for table in tables), *self.drawn], ["all", output], name="loop", body=graph,
            num_scan_inputs=len(once) - 2, scan_input_axes=[0] * len(tables) + [1] * len(self.drawn),
        )  # fmt: skip
        rows, *sizes = _sizes(taken["x_before"])
        beside = {"noise": [rows, *sizes], **({"fresh": [rows, len(plan.noises), *sizes]} if plan.noises else {})}
        for name in self.drawn:
            rows, *own = _sizes(taken[f"{name}{NOW}"])
            beside[name] = [rows, n, *own]
        inputs = [helper.make_tensor_value_info(name, FLOAT, size) for name, size in beside.items()]
        return [*inputs, *(one for name, one in taken.items() if name not in once)], tables, scan


def _sizes(end: Any) -> list[Any]:
    """Of an input or output: numbers, and names of what is open."""
    return [size.dim_param or size.dim_value for size in end.type.tensor_type.shape.dim]
