"""A module as an ONNX graph: exported, written, opened, compared with torch."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.errors import UnsupportedError
from pellucid.core.reason import reason

NEEDED = ("onnx", "onnxscript", "onnxruntime")
SYMBOL = re.compile(r"\bs\d+\b")
LARGE = 2**30
"""Bytes of weights from which they lie in a file beside the graph, which may not have more than twice as many."""

Axes = Mapping[int, Any]
"""What is left open of a tensor's shape: a `torch.export.Dim` for each such axis."""


def require_onnx() -> None:
    """Refuse where a library is missing.

    Raises:
        UnsupportedError: it is.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise UnsupportedError(f"ONNX Runtime needs {', '.join(missing)}: pip install 'pellucid[engine]'")


def graph_of(
    module: nn.Module, inputs: Mapping[str, Tensor], axes: Mapping[str, Axes], outputs: Sequence[str], called: str
) -> Any:
    """The graph, an `onnx.ModelProto`, of a module whose `forward(*tensors)` takes tensors in the order of `inputs`.

    Arguments:
        inputs: examples, of two rows or more.
        axes: what of their shapes is left open, by dimensions with names or without.
        outputs: the names of what it answers.
        called: the module, in messages.

    Raises:
        UnsupportedError: the module does something that ONNX has no word for.
    """
    shapes = tuple(dict(axes.get(name, {})) for name in inputs)
    with silence(), torch.no_grad():
        try:
            traced = torch.export.export(module, tuple(inputs.values()), dynamic_shapes={"tensors": shapes}, strict=False)
            program = torch.onnx.export(
                traced, dynamo=True, verbose=False, input_names=list(inputs), output_names=list(outputs)
            )
        except Exception as error:  # of tracing, of translating
            why = reason(error.__cause__ if isinstance(error.__cause__, Exception) else error)
            raise UnsupportedError(f"{called} cannot be exported for ONNX: {why}") from None
        assert program is not None
        proto = program.model_proto
    _name_axes(proto, axes)
    return _bare(proto)


def write_graph(proto: Any, path: Path) -> None:
    """Write a graph, weights beside it where they are many, and have ONNX check it.

    Raises:
        UnsupportedError: it is no valid graph.
    """
    import onnx

    beside = _weights(proto.graph) > LARGE
    try:
        onnx.save_model(proto, path, save_as_external_data=beside, location=f"{path.name}.data" if beside else None)
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # of protobuf, of the checker
        raise UnsupportedError(f"The graph '{path.name}' is not valid: {reason(error)}") from None


def opened(path: Path) -> Any:
    """A session of ONNX Runtime on the CPU, with as many threads as torch has.

    Raises:
        UnsupportedError: it cannot read the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # any that a library of many has
        raise UnsupportedError(f"ONNX Runtime cannot read '{path}': {reason(error)}. Delete it to make it anew") from None


def run(session: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Its answer; what it does not use is no input of it.

    Raises:
        UnsupportedError: it fails.
    """
    feed = {wanted.name: inputs[wanted.name].detach().contiguous().numpy() for wanted in session.get_inputs()}
    try:
        return torch.from_numpy(session.run(None, feed)[0])
    except Exception as error:  # any that a library of many has
        raise UnsupportedError(f"ONNX Runtime fails: {reason(error)}") from None


def _weights(graph: Any) -> int:
    """Bytes of a graph's tensors, those of graphs inside it too."""
    inner = (attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    return sum(len(one.raw_data) for one in graph.initializer) + sum(map(_weights, inner))


def _name_axes(proto: Any, axes: Mapping[str, Axes]) -> None:
    """Open axes of inputs and outputs by the names of their dimensions, in place of torch's symbols."""
    names = dict[str, str]()
    for one in proto.graph.input:
        for axis, size in axes.get(one.name, {}).items():
            if symbol := SYMBOL.search(one.type.tensor_type.shape.dim[axis].dim_param):
                root: Any = getattr(size, "root", size)  # of 8 * Dim("height")
                names[symbol[0]] = getattr(root, "__name__", symbol[0])
    for one in (*proto.graph.input, *proto.graph.output):
        for size in one.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = SYMBOL.sub(lambda found: names.get(found[0], found[0]), size.dim_param)


def _bare(proto: Any) -> Any:
    """Without what tells of the machine that it was exported on: places in files, stacks of calls."""
    del proto.graph.value_info[:]
    for holder in (proto, proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output):
        del holder.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
    return proto


@contextmanager
def silence() -> Iterator[None]:
    """Exporting talks of what it does and of libraries that it does without."""
    talkers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    before = [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for talker, level in zip(talkers, before, strict=True):
            talker.setLevel(level)
