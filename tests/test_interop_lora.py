"""Low-rank weights: W + weight alpha / rank B A in the network and the text encoder, from files as trainers write them."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import pellucid
from pellucid.cli.app import _run
from pellucid.core.errors import ModelError, UnsupportedError
from pellucid.interop.load import load
from tiny_pipelines import STABLE, stable_diffusion, unconditional

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # diffusers
RANK, ALPHA = 2, 6.0
NAMES = (
    ("unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"),
    ("unet", "up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"),
    ("text_encoder", "text_model.encoder.layers.1.self_attn.q_proj"),
    ("text_encoder", "text_model.encoder.layers.1.self_attn.out_proj"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    peer = diffusers.DDIMScheduler(**STABLE, steps_offset=1, clip_sample=False)
    return stable_diffusion(tmp_path_factory.mktemp("lora") / "sd", peer)


def weights(model: Any) -> dict[str, dict[str, Tensor]]:
    """Of the network and of the text encoder, by name."""
    parts: dict[str, nn.Module] = {
        "unet": model.denoiser.network, "text_encoder": model.conditioners["caption"].encoders[0]
    }
    return {part: dict(module.named_parameters()) for part, module in parts.items()}


def write(path: Path, style: str, model: Any) -> dict[tuple[str, str], Tensor]:
    """A file of low-rank weights in one of the two usual spellings; returns alpha / rank B A by part and parameter."""
    generator, tensors, changes = torch.Generator().manual_seed(0), {}, {}
    for part, name in NAMES:
        parameter = f"{name}.weight"
        if parameter not in weights(model)[part]:  # the name without its first part, in newer versions of transformers
            parameter = parameter.removeprefix("text_model.")
        rows, columns = weights(model)[part][parameter].shape
        down, up = torch.randn(RANK, columns, generator=generator), torch.randn(rows, RANK, generator=generator)
        if style == "peft":
            tensors |= {f"{part}.{name}.lora_A.weight": down, f"{part}.{name}.lora_B.weight": up}
            changes[part, parameter] = up @ down
        else:
            place = f"lora_{'unet' if part == 'unet' else 'te'}_{name.replace('.', '_')}"
            tensors |= {f"{place}.lora_down.weight": down, f"{place}.lora_up.weight": up}
            tensors[f"{place}.alpha"] = torch.tensor(ALPHA)
            changes[part, parameter] = ALPHA / RANK * up @ down
    save_file(tensors, path)
    return changes


@pytest.mark.parametrize("style", ["peft", "kohya"])
def test_weights_are_added(style: str, folder: Path, tmp_path: Path) -> None:
    """Exactly those named, by half; all others stay as they are."""
    plain = pellucid.load(folder)
    changes = write(tmp_path / "a.safetensors", style, plain)
    found = weights(load(folder, lora={tmp_path / "a.safetensors": 0.5}))
    for part, parameters in weights(plain).items():
        assert list(found[part]) == list(parameters)
        for name, parameter in parameters.items():
            expected = parameter + 0.5 * changes.get((part, name), torch.zeros(()))
            torch.testing.assert_close(found[part][name], expected, rtol=1e-5, atol=1e-5)


def test_at_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice a half is the whole; another picture than without."""
    whole, half = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for file in (whole, half):
        write(file, "peft", pellucid.load(folder))
    pictures = []
    for index, options in enumerate(("", f"--lora {whole}", f"--lora {half}:0.5 --lora {whole}:0.5")):
        out = tmp_path / f"{index}.png"
        assert _run(["generate", "a cat", "--model", str(folder), "--steps", "2", "-o", str(out), *options.split()]) == 0
        pictures.append(out.read_bytes())
    assert pictures[0] != pictures[1] == pictures[2]
    assert "error" not in capsys.readouterr().err


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    other, pickle = tmp_path / "other.safetensors", tmp_path / "a.bin"
    save_file({"unet.nowhere.lora_A.weight": torch.zeros(2, 4), "unet.nowhere.lora_B.weight": torch.zeros(4, 2)}, other)
    plain = tmp_path / "plain.safetensors"
    save_file({"x": torch.zeros(1)}, plain)
    pickle.touch()
    for file, message in (
        (other, "no low-rank weights that fit"), (plain, "no low-rank weights that fit"), (pickle, "is a pickle"),
        (tmp_path / "nowhere.safetensors", "There is no"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=message):
            load(folder, lora={file: 1.0})
    with pytest.raises(UnsupportedError, match="DDIMPipeline takes no low-rank weights"):
        load(unconditional(tmp_path / "plain", diffusers.DDIMScheduler()), lora={other: 1.0})
