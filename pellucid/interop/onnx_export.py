"""A model as ONNX files, each compared with torch before it is handed over."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from pellucid.codecs.codec import Codec
from pellucid.codecs.identity import Identity
from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Keyed
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.regression import Regression
from pellucid.interop.autoencoder import Autoencoder
from pellucid.interop.onnx_graph import Axes, graph_of, opened, require_onnx, run, write_graph
from pellucid.interop.onnx_loop import Loop, graphic
from pellucid.interop.onnx_step import Example, Handed, Step, example_of, said
from pellucid.interop.onnx_words import Words
from pellucid.interop.pretrained import Pretrained
from pellucid.model.config import Section
from pellucid.model.model import Model
from pellucid.networks.unet import UNet

STEP, DECODER, LOOP = "model.onnx", "decoder.onnx", "loop.onnx"
WORD = re.compile("[a-z]{2,}")
ROWS, CHECKED = 2, 3
"""Samples that a graph is traced with, and that it is compared with torch by."""
MOST = 31
"""Samples while it is traced: networks of diffusers lay out 64 or more otherwise, guidance has two of each. A graph takes
any number.
"""
TOLERANCES = {STEP: 1e-4, DECODER: 1e-4, LOOP: 1e-3}
"""Of the greatest difference to torch, relative to the greatest value; rounding adds up over the steps of a loop."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A graph that was written and found equal to torch.

    Attributes:
        name: of its file.
        inputs, output: shape and type of each, as ONNX Runtime tells them.
        difference: the greatest to torch, relative to the greatest value.
        compared: of what, in words.
    """

    name: str
    inputs: Mapping[str, tuple[str, str]]
    output: Mapping[str, tuple[str, str]]
    difference: float
    compared: str


def export_onnx(model: Model, folder: Path, sampling: Section | None, seed: int = 0) -> list[Written]:
    """Write model.onnx, one call of the denoiser; decoder.onnx, where a network decodes; and, with a complete `sampling`
    section, loop.onnx. The number of samples is left open, and where the network allows their size.

    Raises:
        UnsupportedError: something that is no graph, or a graph that answers otherwise than torch.
    """
    require_onnx()
    if model.device.type != "cpu" or model.dtype != torch.float32:
        raise UnsupportedError("ONNX is exported in float32 and on the CPU: load the model so")
    strides = strides_of(model)
    try:
        return _Export(model, folder, strides, seed).write(sampling)
    except UnsupportedError:
        if strides is None:
            raise
    return _Export(model, folder, None, seed).write(sampling)


def strides_of(model: Model) -> tuple[int, ...] | None:
    """What lengths have to be multiples of where a network of convolutions takes any; None: it is one size alone."""
    denoiser: Any = model.denoiser
    space = model.codec.latent_shape(model.facts.shape)[1:]
    if isinstance(denoiser, Pretrained) and isinstance(model.codec, Identity | Autoencoder):
        strides = (2 ** (len(denoiser.network.config.block_out_channels) - 1),) * len(space)
    elif isinstance(denoiser, Regression | Consistency) and isinstance(model.codec, Identity):
        if denoiser.sketch is not None or not isinstance(denoiser.network, UNet):
            return None
        strides = denoiser.network.patches.stride
    else:
        return None
    return None if any(n % stride for n, stride in zip(space, strides, strict=True)) else strides


@dataclass(frozen=True)
class _Export:
    model: Model
    folder: Path
    strides: tuple[int, ...] | None
    seed: int

    def write(self, sampling: Section | None) -> list[Written]:
        model, axes = self.model, self._axes()
        example, trial = self._example(ROWS), self._example(CHECKED)
        loop = None if sampling is None else Loop.of(model, sampling, example)
        if loop is not None:
            loop.plan  # noqa: B018  refuses before anything is traced
        step = Step(model.denoiser, list(example.drawn), list(example.cond))
        told = self._told(example, axes)
        answer = "log_p" if model.facts.categories else "x0"
        proto = graph_of(step, example.inputs, told, [answer], _kind(model.denoiser))
        with torch.no_grad():
            expected = said(model.denoiser, trial.x_t, trial.t, Handed(trial.drawn), trial.cond)
        written, decoder = [self._written(STEP, proto, trial.inputs, expected)], None
        if not isinstance(codec := graphic(model.codec), Identity):
            decoder = graph_of(_Decoder(codec), {"z": example.x_t}, {"z": axes}, ["samples"], _kind(codec))
            with torch.no_grad():
                own = deepcopy(decoder)  # writing changes it
                written.append(self._written(DECODER, own, {"z": trial.x_t}, codec.decode(trial.x_t)))
        if loop is not None:
            other, draws = replace(loop, example=trial), Keyed(self.seed, range(CHECKED))
            written.append(self._written(LOOP, loop.graph(told, decoder), other.inputs(draws), other.samples(draws)))
        return written

    def _axes(self) -> Axes:
        """Of a state."""
        batch = Dim("batch", max=MOST)
        if self.strides is None:
            return {0: batch}
        names = WORD.findall(self.model.modality.axes)[-len(self.strides) :]  # of "channels x [depth x] height x width"
        pairs = zip(names, self.strides, strict=True)
        return {0: batch, **{axis: Dim(name) if stride == 1 else stride * Dim(name)
                             for axis, (name, stride) in enumerate(pairs, 2)}}  # fmt: skip

    def _told(self, example: Example, axes: Axes) -> dict[str, Axes]:
        """Of each input: all have the axis of samples, states the others too."""
        whole = {"x_t", *({"given"} & example.cond.keys())}
        return {name: axes if name in whole else {0: axes[0]} for name in example.inputs}

    def _example(self, rows: int) -> Example:
        """Of the model's size for tracing; where sizes are open, of another to compare."""
        shape = self.model.codec.latent_shape(self.model.facts.shape)
        if self.strides is not None and rows == CHECKED:
            more = enumerate(zip(shape[1:], self.strides, strict=True), 1)
            shape = (shape[0], *(n + place * stride for place, (n, stride) in more))
        return example_of(self.model, rows, shape, self.seed + rows)

    def _written(self, name: str, proto: Any, inputs: Mapping[str, Tensor], expected: Tensor) -> Written:
        """Write a graph and compare it.

        Raises:
            UnsupportedError: it differs from torch by more than rounding.
        """
        write_graph(proto, self.folder / name)
        session = opened(self.folder / name)
        found = run(session, inputs)
        if name == STEP and self.model.facts.categories:
            found, expected = found.exp(), expected.exp()
        difference = relative(found, expected)
        if not difference <= TOLERANCES[name]:
            raise UnsupportedError(f"{name} answers otherwise than torch: by {difference:.1g} of the largest value, more "
                                   f"than {TOLERANCES[name]:g}. Nothing is written; please report it")  # fmt: skip
        size = " x ".join(map(str, next(iter(inputs.values())).shape[1:]))
        return Written(
            name=name, inputs=_described(session.get_inputs()), output=_described(session.get_outputs()),
            difference=difference, compared=f"{CHECKED} of {size}",
        )  # fmt: skip


class _Decoder(nn.Module):
    """Samples from what is diffused."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, *tensors: Tensor) -> Tensor:
        with Words():
            return self.codec.decode(tensors[0])


def relative(found: Tensor, expected: Tensor) -> float:
    """The greatest difference over the greatest value; NaN where one is not a number, or shapes differ."""
    if found.shape != expected.shape:
        return float("nan")
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-6))


def _kind(module: nn.Module) -> str:
    return type(module).__name__


def _described(ends: Sequence[Any]) -> dict[str, tuple[str, str]]:
    kinds = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64"}
    return {one.name: (" x ".join(map(str, one.shape)), kinds[one.type]) for one in ends}


