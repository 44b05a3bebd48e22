"""Weights that the user brings: from a safetensors file into a network, whole or not at all."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pellucid.core.errors import ModelError

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
CONVERT = (
    "python -c \"import torch; from safetensors.torch import save_file; "
    "save_file(torch.load('{name}', weights_only=True), '{stem}.safetensors')\""
)


def load_weights(network: nn.Module, path: Path, *, unused: tuple[str, ...] = ()) -> None:
    """Fill `network` from the file; tensors whose names begin with one of `unused` may be there and are left out.

    Raises:
        ModelError: no such file, a pickle, damaged, or weights of another network.
    """
    if path.suffix.lower() in PICKLES:
        command = CONVERT.format(name=path, stem=path.with_suffix(""))
        raise ModelError(f"'{path}' is a pickle, which can run any code and is never loaded. Convert it once:\n{command}")
    try:
        tensors = {name: value for name, value in load_file(path).items() if not name.startswith(unused)}
    except OSError as error:
        raise ModelError(f"The weights '{path}' cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise ModelError(f"'{path}' is not a readable safetensors file: {error}") from None
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counters, **tensors})
    except RuntimeError as error:
        first, *more = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        others = f" and {len(more)} more" if more else ""
        raise ModelError(f"The weights in '{path}' are of another network: {first[:200]}{others}") from None
