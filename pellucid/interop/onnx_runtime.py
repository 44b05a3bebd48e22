"""A network run by ONNX Runtime: exported once, kept for the next time.

A graph is exported for the shapes that the network is called with, the number of samples left open. It lies under
$XDG_CACHE_HOME/pellucid/engine (~/.cache), named by a hash of the network's weights and code and of torch's version.
"""

import os
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from pellucid.core.errors import UnsupportedError
from pellucid.core.files import atomic_folder
from pellucid.interop.instead import Instead
from pellucid.interop.onnx_graph import graph_of, opened, require_onnx, write_graph

FILE = "network.onnx"


class OnnxRuntime(Instead):
    """ONNX Runtime answers in place of the network.

    Arguments:
        network: a module in whose arguments every tensor has a row for each sample.

    Raises:
        UnsupportedError: not installed, or other weights than float32.
    """

    called = "ONNX Runtime"

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        require_onnx()
        if any(value.dtype != torch.float32 for value in network.parameters()):
            raise UnsupportedError("ONNX Runtime is used in float32 alone: leave engine out, or half")
        self._sessions: dict[Any, Any] = {}
        self._digest = ""

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        call = _Call.of(args, kwargs)
        if call.key not in self._sessions:
            self._sessions[call.key] = self._session(call)
        session, feed = self._sessions[call.key], call.feed()
        taken = {wanted.name: feed[wanted.name] for wanted in session.get_inputs()}  # what it does not use is no input
        answer = torch.from_numpy(session.run(None, taken)[0])
        return (answer,) if kwargs.get("return_dict") is False else answer

    def _session(self, call: "_Call") -> Any:
        self._digest = self._digest or _digest(self.network)
        name = sha256(f"{self._digest} {call.key} {torch.__version__}".encode()).hexdigest()[:32]
        folder = _cache() / name
        if not (folder / FILE).is_file():
            with atomic_folder(folder) as temporary:
                call.export(self.network, temporary / FILE)
        return opened(folder / FILE)


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
        examples = {f"in{place}": tensor.repeat_interleave(2, 0) if len(tensor) == 1 else tensor
                    for place, tensor in enumerate(self.tensors)}  # fmt: skip
        rows = {name: {0: torch.export.Dim.DYNAMIC} for name in examples}  # a dimension of 1 would be taken for constant
        write_graph(graph_of(_Flat(network, self), examples, rows, ["out"], type(network).__name__), path)


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
