"""A network run by ONNX Runtime instead of torch: exported once, checked against torch, kept for the next time.

A graph is exported for the shapes that the network is called with, the number of samples left open. It lies under
$XDG_CACHE_HOME/pellucid/engine (~/.cache), named by a hash of the network's weights and code and of torch's version.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from pellucid.core.errors import UnsupportedError
from pellucid.core.files import atomic_folder
from pellucid.core.reason import reason
from pellucid.denoisers.predicting import Predicting
from pellucid.model.model import Model

Kind = Literal["torch", "onnx", "auto"]
TOLERANCE = 1e-4
"""Of the greatest difference to torch, relative to the greatest value."""
GAIN, PAIRS = 1.05, 3
"""How much faster it has to be to be chosen, as the median of so many calls in turn."""
FILE = "network.onnx"
NEEDED = ("onnx", "onnxscript", "onnxruntime")
LARGE = 2**30
"""Bytes of weights from which they lie in a file beside the graph, which may not have more than twice as many."""


@dataclass(frozen=True)
class Gain:
    """What ONNX Runtime changes: the greatest difference, relative to the greatest value, and its speed over torch's."""

    difference: float
    speed: float


def accelerate(model: Model, kind: Kind, *, rows: int = 8) -> Gain | None:
    """Have the model's network run by ONNX Runtime: if `kind` is "onnx" always, if "auto" where that is possible and faster.

    Arguments:
        rows: samples at once by which the two are compared.

    Returns:
        What it changes; None where torch goes on.

    Raises:
        UnsupportedError: for "onnx": not installed, not for this model or device, or its answers differ from torch's.
    """
    if kind == "torch":
        return None
    try:
        denoiser = _suitable(model)
        plain = denoiser.network
        found = _compared(model, denoiser, Engine(plain), rows)
    except UnsupportedError:
        if kind == "auto":
            return None
        raise
    if kind == "auto" and found.speed < GAIN:
        denoiser.network = plain
        return None
    return found


def _suitable(model: Model) -> Any:
    denoiser = model.denoiser
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UnsupportedError(f"ONNX Runtime needs {', '.join(missing)}: pip install 'pellucid[engine]'")
    if not isinstance(denoiser, Predicting) or not isinstance(getattr(denoiser, "network", None), nn.Module):
        raise UnsupportedError(f"A {type(denoiser).__name__} has no network that ONNX Runtime could run: leave engine out")
    if model.device.type != "cpu" or model.dtype != torch.float32:
        raise UnsupportedError("ONNX Runtime is used on the CPU and in float32 alone: leave engine out")
    return denoiser


@torch.no_grad()
def _compared(model: Model, denoiser: Any, engine: "Engine", rows: int) -> Gain:
    """Calls of the denoiser as sampling makes them, by torch and by the engine in turn; the engine stays in place."""
    shape, plain = model.codec.latent_shape(model.facts.shape), denoiser.network
    x = torch.linspace(-2, 2, rows * torch.Size(shape).numel()).reshape(rows, *shape)
    t = torch.linspace(0.2, 0.8, rows, dtype=torch.float64)
    cond = {name: one.null(rows) for name, one in model.conditioners.items()} or None
    seconds: dict[nn.Module, list[float]] = {plain: [], engine: []}
    answers = {}
    try:
        for _ in range(1 + PAIRS):
            for network, taken in seconds.items():
                denoiser.network, start = network, perf_counter()
                answers[network] = denoiser.predict(x, t, cond)
                taken.append(perf_counter() - start)
    except Exception:
        denoiser.network = plain
        raise
    difference = float((answers[plain] - answers[engine]).abs().max() / answers[plain].abs().max())
    if not difference <= TOLERANCE:
        denoiser.network = plain
        raise UnsupportedError(f"ONNX Runtime's answers differ from torch's by {difference:.1g} of the largest, more than "
                               f"{TOLERANCE:g}: leave engine out")
    first, second = (median(taken[1:]) for taken in seconds.values())
    return Gain(difference, first / second)


class Engine(nn.Module):
    """Takes the place of `network` and answers like it. Where gradients are wanted, torch does the work.

    Arguments:
        network: a module in whose arguments every tensor has a row for each sample.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = (network,)  # in a tuple it is not registered: its weights are no part of this module
        self._sessions: dict[Any, Any] = {}
        self._digest = ""

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if name.startswith("_") else getattr(self._network[0], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        call = _Call.of(args, kwargs)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in call.tensors):
            return self._network[0](*args, **kwargs)
        if call.key not in self._sessions:
            self._sessions[call.key] = self._session(call)
        session, feed = self._sessions[call.key], call.feed()
        taken = {wanted.name: feed[wanted.name] for wanted in session.get_inputs()}  # what it does not use is no input
        answer = torch.from_numpy(session.run(None, taken)[0])
        return (answer,) if kwargs.get("return_dict") is False else answer

    def _session(self, call: "_Call") -> Any:
        import onnxruntime

        self._digest = self._digest or _digest(self._network[0])
        name = sha256(f"{self._digest} {call.key} {torch.__version__}".encode()).hexdigest()[:32]
        folder = _cache() / name
        if not (folder / FILE).is_file():
            with atomic_folder(folder) as temporary:
                call.export(self._network[0], temporary / FILE)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        try:
            return onnxruntime.InferenceSession(folder / FILE, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # any that a library of many has
            raise UnsupportedError(f"ONNX Runtime cannot read '{folder / FILE}': {reason(error)}. Delete it") from None


@dataclass(frozen=True)
class _Call:
    """Arguments of a call, taken apart: the tensors among them, and where they stand."""

    leaves: list[Any]
    spec: Any
    tensors: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Self:
        leaves, spec = tree_flatten((args, kwargs))
        return cls(leaves, spec, [leaf for leaf in leaves if isinstance(leaf, Tensor)])

    @property
    def key(self) -> str:
        """Equal for calls that one graph serves."""
        plain = [(leaf.dtype, leaf.shape[1:]) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        return f"{plain} {self.spec}"

    def feed(self) -> dict[str, Any]:
        """By the names of the graph's inputs."""
        return {f"in{place}": tensor.detach().contiguous().numpy() for place, tensor in enumerate(self.tensors)}

    def export(self, network: nn.Module, path: Path) -> None:
        """Write the graph of this call.

        Raises:
            UnsupportedError: the network does something that ONNX has no word for.
        """
        examples = tuple(tensor.repeat_interleave(2, 0) if len(tensor) == 1 else tensor for tensor in self.tensors)
        rows: Any = tuple({0: torch.export.Dim.DYNAMIC} for _ in examples)  # a dimension of 1 would be taken for constant
        with _silence():
            try:
                program = torch.onnx.export(
                    _Flat(network, self), examples, dynamo=True, dynamic_shapes={"tensors": rows}, verbose=False,
                    input_names=[f"in{place}" for place in range(len(examples))],
                )  # fmt: skip
            except Exception as error:  # of tracing, of translating
                raise UnsupportedError(f"{type(network).__name__} cannot be exported for ONNX: {reason(error)}") from None
            assert program is not None
            weights = sum(p.nbytes for p in network.parameters())
            program.save(path, external_data=weights > LARGE)


class _Flat(nn.Module):
    """A network called with tensors alone, the rest of a call as it was."""

    def __init__(self, network: nn.Module, call: _Call) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, *tensors: Tensor) -> Tensor:
        rest = iter(tensors)
        leaves = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in self.call.leaves]
        args, kwargs = tree_unflatten(leaves, self.call.spec)
        answer = self.network(*args, **kwargs)
        found: Tensor = answer[0] if isinstance(answer, tuple) else answer
        return found


def _digest(network: nn.Module) -> str:
    """Of the architecture as it prints itself, of the files that its code is in, and of all weights."""
    found = sha256(repr(network).encode())
    files = {getattr(sys.modules[type(part).__module__], "__file__", None) for part in network.modules()}
    for file in sorted(filter(None, files)):
        found.update(Path(file).read_bytes())
    for name, value in network.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "pellucid" / "engine"


@contextmanager
def _silence() -> Iterator[None]:
    """Exporting talks of what it does and of libraries that it does without."""
    talker, before = logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx").level
    talker.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        talker.setLevel(before)
