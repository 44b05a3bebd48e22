"""The benchmark against peers: adapters change nothing, recipes are the published ones, legs add up to one training."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contenders.contender import Contender
from contenders.ddpm_readme import DDPMReadme, readme_unet
from contenders.diffusers_example import DiffusersExample, example_unet
from contenders.legs import Leg
from contenders.ours import Ours, our_recipe
from contenders.stepwise import Levelled, Stepwise
from contenders.table import as_markdown
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.modalities.arrays import ArrayFile
from pellucid.model.files import write_tensors
from pellucid.networks.unet import UNet
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.table import Table

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the peers' own
needs_ddpm = pytest.mark.skipif(find_spec("denoising_diffusion_pytorch") is None, reason="a peer that is not installed")
ROOT = Path(__file__).parents[1]
SIDE = 8


def pictures(count: int = 200) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)


def small_example(channels: int) -> nn.Module:
    from diffusers import UNet2DModel

    build: Any = UNet2DModel
    torch.manual_seed(0)
    network: nn.Module = build(
        sample_size=SIDE, in_channels=channels, out_channels=channels, block_out_channels=(8, 16), norm_num_groups=4,
        layers_per_block=1, attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    return network


def diffusers_example(folder: Path, samples: int) -> Contender:
    return DiffusersExample(Stepwise(small_example(3), 3), pictures(), samples, folder)


def ddpm_readme(folder: Path, samples: int) -> Contender:
    torch.manual_seed(0)
    network = readme_unet(1, dim=8, dim_mults=(1, 2))
    return DDPMReadme(Stepwise(network, 1), pictures(), samples, folder)


def ours(folder: Path, samples: int) -> Contender:
    return Ours(Levelled(small_example(1)), pictures(), samples, folder)


CONTENDERS = [diffusers_example, pytest.param(ddpm_readme, marks=needs_ddpm), ours]


def test_the_peers_network_answers_as_it_does_alone() -> None:
    """Called with steps, and as ours with the noise level, at t = k / 1000 of the rectified schedule."""
    network, x = small_example(1).eval(), torch.randn(5, 1, SIDE, SIDE)
    steps = torch.tensor([1, 20, 500, 730, 999])
    with torch.no_grad():
        alone: Tensor = network(x, steps).sample
        assert torch.equal(Stepwise(network, 1)(x, steps), alone)
        c_noise = -Rectified().log_snr(steps.double() / 1000) / 8
        torch.testing.assert_close(Levelled(network)(x, c_noise.float()), alone, rtol=0, atol=1e-4)


def test_our_network_is_told_the_peers_noise_levels(tmp_path: Path) -> None:
    """diffusers' schedule against our own table of DDPM: step k stands at t = (k + 1) / 1000."""
    network = UNet(in_channels=3, out_channels=3, space=(SIDE, SIDE), channels=(8,))
    stepwise = Stepwise(network, 3)
    DiffusersExample(stepwise, pictures(), 16, tmp_path)
    expected = -Table.from_betas().log_snr(torch.arange(1, 1001, dtype=torch.float64) / 1000) / 8
    torch.testing.assert_close(stepwise.levels, expected, rtol=0, atol=1e-3)
    x, steps = torch.randn(2, 3, SIDE, SIDE), torch.tensor([3, 800])
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)  # many are zero at the start, as the answer would be
    torch.testing.assert_close(stepwise(x, steps), network(x, expected[steps].float()), rtol=0, atol=1e-3)


def test_networks_are_the_published_ones() -> None:
    """The script's 113.7M parameters, which its log tells; the README's 35.7M."""
    with torch.device("meta"):
        assert sum(p.numel() for p in example_unet(3, 32).parameters()) == 113_673_219
        if find_spec("denoising_diffusion_pytorch") is not None:
            assert sum(p.numel() for p in readme_unet(1).parameters()) == 35_705_089


def test_the_examples_learning_rate(tmp_path: Path) -> None:
    """Half of 1e-4 after half of 500 steps, before any other step is taken and as the curve is restored."""
    contender = DiffusersExample(Stepwise(small_example(3), 3), pictures(), 16 * 251, tmp_path)
    contender.restore_average(contender.averaged(), 250)
    assert contender.optimiser.param_groups[0]["lr"] == pytest.approx(0.5e-4)
    contender.step()
    assert contender.optimiser.param_groups[0]["lr"] == pytest.approx(1e-4 * 251 / 500)
    assert contender.average.cur_decay_value == pytest.approx(1 - 251**-0.75)


def test_our_recipe_is_the_file_without_labels() -> None:
    config = our_recipe(Path("/data"), 6400)
    assert config.data.condition == "none"
    assert config.optimiser["name"] == "muon"
    assert config.training.samples == 6400
    assert len(config.training.ema) == 1


@pytest.mark.parametrize("make", CONTENDERS)
def test_two_legs_are_one_training(make: Callable[[Path, int], Contender], tmp_path: Path) -> None:
    """Bit by bit: weights and averages of four steps, and of two, a checkpoint, and two in a new process's place."""
    batch = make(tmp_path / "probe", 1).batch
    whole = make(tmp_path / "whole", 4 * batch)
    whole.run(lambda: False)
    first = make(tmp_path / "legs", 4 * batch)
    first.run(lambda: first.seen >= 2 * batch)
    first.save()
    second = make(tmp_path / "legs", 4 * batch)
    second.restore()
    assert second.seen == 2 * batch
    second.run(lambda: False)
    assert second.seen == whole.seen == 4 * batch
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    for name, value in whole.averaged().items():
        assert torch.equal(value, second.averaged()[name]), name


@pytest.mark.parametrize("make", CONTENDERS)
def test_marks_and_pictures(make: Callable[[Path, int], Contender], tmp_path: Path) -> None:
    """A mark in the middle is kept, another than the end; pictures that are there are not made again."""
    batch = make(tmp_path / "probe", 1).batch
    seconds = 60 / (3 * batch)  # three steps a minute
    leg = Leg(contender=make(tmp_path, 6 * batch), folder=tmp_path, seconds=seconds, minutes=2, marks=[1])
    assert leg.train()
    middle, end = (leg.weights(mark).read_bytes() for mark in (1, 2))
    assert middle != end
    again = Leg(contender=make(tmp_path, 6 * batch), folder=tmp_path, seconds=seconds, minutes=2)
    assert again.sample(2, 3, 2, minutes=0) == 0
    assert again.sample(2, 3, 2) == 3
    files = sorted((tmp_path / "samples" / "2").iterdir())
    assert [np.load(file).shape for file in files] == [(2, SIDE, SIDE), (1, SIDE, SIDE)]
    files[0].write_bytes(b"kept")
    assert again.sample(2, 3, 2) == 3
    assert files[0].read_bytes() == b"kept"


def test_the_record_finds_the_cheapest_model_as_good(tmp_path: Path) -> None:
    """Real pictures half drowned in noise for the peer, less for ours at 2 minutes, more at 1."""
    file = ROOT / "data" / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
    rows = np.stack([row for row, _ in zip(ArrayFile.open(file).rows(), range(900), strict=False)])
    noise = np.random.default_rng(0).integers(-128, 128, (300, 28, 28))
    speeds = {name: {"batch": 1, "parameters": 1, "seconds": [0.5, 1.0, 2.0]} for name in ("pellucid", "diffusers")}
    (tmp_path / "speed.json").write_text(json.dumps(speeds), encoding="utf-8")
    for name, minutes, at, share in (("diffusers", 60, 60, 0.5), ("pellucid", 60, 1, 0.7), ("pellucid", 60, 2, 0.2)):
        place = tmp_path / name / str(minutes)
        (place / "samples" / str(at)).mkdir(parents=True)
        made = (rows[600:] + share * noise).clip(0, 255).astype(np.uint8)
        np.save(place / "samples" / str(at) / "000000.npy", made)
        write_tensors(place / "weights" / f"{at}.safetensors", {}, {"seen": str(60 * at)})
    record = as_markdown(tmp_path, rows[:600], resamples=4)
    assert "reached by ours at 2.0" in record
    assert "1/30 of it; at most 1/20: **yes**" in record
