"""Contracts of every network, over the registry, ranks and odd sizes; then the parts whose truth is known."""

from collections.abc import Iterator
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.core.random import Key
from pellucid.networks import networks
from pellucid.networks.attention import FeedForward, SelfAttention
from pellucid.networks.embedding import NoiseEmbedding
from pellucid.networks.grid import cell_means, crop, depth_to_space, halving, pad, patch_for, space_to_depth
from pellucid.networks.initialise import initialise
from pellucid.networks.linear import Linear
from pellucid.networks.modulated import Modulated
from pellucid.networks.network import Network
from pellucid.networks.rotary import Rotary

SPACES: dict[int, list[tuple[int, ...]]] = {0: [()], 1: [(24,), (7,), (1,)], 2: [(28, 28), (17, 23)], 3: [(5, 9, 7)]}
CASES = [(name, space) for name in networks for rank in networks[name].ranks for space in SPACES[rank]]
over_cases = pytest.mark.parametrize(("name", "space"), CASES, ids=str)
over_names = pytest.mark.parametrize("name", list(networks))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose more to waiting threads than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def normal(word: str, *shape: int) -> Tensor:
    """Keyed normal numbers in float64."""
    return Key(0, word).normal([0], shape)[0]


def awake(network: Network) -> Network:
    """`network` in float64 with what starts at zero replaced by random numbers, as training would."""
    network.double()
    initialise(network, Key(0, "init"))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not parameter.any():
                parameter.copy_(0.2 * normal(name, *parameter.shape))
    return network


def tiny(name: str, space: tuple[int, ...]) -> Network:
    network: Network = networks[name](in_channels=2, out_channels=3, space=space)
    return network


def tokens_for(network: Network, n: int) -> Tensor | None:
    """Five tokens for each sample, where the network reads any."""
    return normal("tokens", n, 5, network.token_width) if network.token_width else None


def inputs(network: Network, space: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    return normal("x", 3, 2, *space), normal("c_noise", 3), normal("vector", 3, network.embedding_width)


@over_cases
def test_any_size_gives_its_own_shape_and_zero_at_the_start(name: str, space: tuple[int, ...]) -> None:
    network = tiny(name, space)
    x, c_noise, vector = (value.float() for value in inputs(network, space))
    assert torch.equal(network(x, c_noise, vector), torch.zeros(3, 3, *space))
    assert awake(network)(x.double(), c_noise.double()).std() > 0.1


@over_cases
def test_samples_in_a_batch_never_meet(name: str, space: tuple[int, ...]) -> None:
    network = awake(tiny(name, space))
    x, c_noise, vector = inputs(network, space)
    y = network(x, c_noise, vector)
    alone = network(x[1:2], c_noise[1:2], vector[1:2])
    torch.testing.assert_close(alone, y[1:2], rtol=0, atol=1e-12)
    x[0], c_noise[0], vector[0] = x[0] + 1, c_noise[0] + 1, -vector[0]
    other = network(x, c_noise, vector)
    torch.testing.assert_close(other[1:], y[1:], rtol=0, atol=1e-12)
    assert (other[0] - y[0]).abs().max() > 1e-3


@over_cases
def test_a_level_per_sample_equals_the_same_level_everywhere(name: str, space: tuple[int, ...]) -> None:
    network = awake(tiny(name, space))
    x, c_noise, vector = inputs(network, space)
    y = network(x, c_noise, vector)
    broadcast = c_noise.reshape(3, 1, *(1 for _ in space))
    for levels in (broadcast, broadcast.expand(3, 1, *space)):
        torch.testing.assert_close(network(x, levels, vector), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "space"), [case for case in CASES if max(case[1][:1], default=1) > 1], ids=str)
def test_each_position_may_have_its_own_level(name: str, space: tuple[int, ...]) -> None:
    network = awake(tiny(name, space))
    x, _, vector = inputs(network, space)
    levels = normal("levels", 3, 1, space[0], *(1 for _ in space[1:]))
    y = network(x, levels, vector)
    last = levels.clone()
    last[:, :, -1] += 1
    assert (network(x, last, vector) - y).abs().max() > 1e-3
    assert (network(x, levels.flip(2), vector) - y).abs().max() > 1e-3


@over_cases
def test_noise_level_and_vector_matter(name: str, space: tuple[int, ...]) -> None:
    network = awake(tiny(name, space))
    x, c_noise, vector = inputs(network, space)
    y = network(x, c_noise, vector)
    for other in (network(x, c_noise + 0.1, vector), network(x, c_noise, -vector), network(x, c_noise)):
        assert (other - y).abs().amax(dim=tuple(range(1, y.ndim))).min() > 1e-3
    torch.testing.assert_close(network(x, c_noise, 0 * vector), network(x, c_noise), rtol=0, atol=1e-12)


@over_names
def test_every_parameter_gets_gradient(name: str) -> None:
    network, shape = networks[name].example()
    initialise(network.double(), Key(0, "init"))
    x, target = normal("x", *shape), normal("target", *shape)
    c_noise, vector = normal("c_noise", shape[0]), normal("vector", shape[0], network.embedding_width)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(4):  # the zeros of head, gates and modulations each hold up what lies behind them for one step
        optimiser.zero_grad()
        (network(x, c_noise, vector, tokens_for(network, shape[0])) - target).square().mean().backward()
        optimiser.step()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


@over_names
def test_a_few_steps_fit_one_batch(name: str) -> None:
    network, shape = networks[name].example()
    initialise(network, Key(0, "init"))
    x, c_noise = normal("x", *shape).float(), normal("c_noise", shape[0])
    target = x.flip(-1)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = (network(x, c_noise) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.2 * target.square().mean()


@over_names
@pytest.mark.parametrize("size", ["tiny", "small", "base", "large"])
def test_the_dial_keeps_its_promise(name: str, size: Any) -> None:
    cls = networks[name]
    low, high = cls.parameter_range[size]
    for channels, space in cls.promised_at:
        with torch.device("meta"):
            network = cls(in_channels=channels, out_channels=channels, space=space, size=size)
        assert low <= sum(parameter.numel() for parameter in network.parameters()) <= high


@over_names
def test_the_gradient_in_x_and_time_is_the_slope(name: str) -> None:
    network, shape = networks[name].example()
    awake(network)
    x, c_noise = normal("x", *shape).requires_grad_(), normal("c_noise", shape[0]).requires_grad_()
    assert torch.autograd.gradcheck(network, (x, c_noise), fast_mode=True)


@pytest.mark.parametrize("name", ["unet", "transformer"])
def test_tokens_are_a_set_that_matters(name: str) -> None:
    network, shape = networks[name].example()
    awake(network)
    x, c_noise = normal("x", *shape), normal("c_noise", shape[0])
    tokens = tokens_for(network, shape[0])
    assert tokens is not None
    y = network(x, c_noise, None, tokens)
    torch.testing.assert_close(network(x, c_noise, None, tokens.flip(1)), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(network(x, c_noise, None, tokens.repeat(1, 2, 1)), y, rtol=0, atol=1e-12)
    for other in (tokens.flip(0), tokens + torch.tensor([[1.0], [0], [0], [0], [0]]), None):
        assert (network(x, c_noise, None, other) - y).abs().amax(dim=(1, 2, 3)).min() > 1e-4


@over_names
def test_levels_in_float64_suit_weights_in_float32(name: str) -> None:
    network, shape = networks[name].example()
    initialise(network, Key(0, "init"))
    y = network(normal("x", *shape).float(), normal("c_noise", shape[0]))
    assert y.dtype == torch.float32


@over_names
def test_nothing_but_parameters_is_saved(name: str) -> None:
    network, _ = networks[name].example()
    assert set(network.state_dict()) == {key for key, _ in network.named_parameters()}


@pytest.mark.parametrize("name", ["unet", "transformer"])
def test_other_sizes_than_the_declared_may_come(name: str) -> None:
    network = awake(tiny(name, (28, 28)))
    assert network(normal("x", 1, 2, 20, 37), normal("c_noise", 1)).shape == (1, 3, 20, 37)


# --- initialise


@over_names
def test_weights_depend_on_the_key_alone(name: str) -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network, _ = networks[name].example()
        initialise(network, Key(0, "init"))
        states.append(network.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    initialise(network, Key(1, "init"))
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, states[0][key])}
    assert changed == {key for key, value in states[0].items() if value.ndim > 1 and value.any()}


def test_weights_keep_the_scale_of_their_input_and_zeros_stay() -> None:
    module = nn.ModuleDict({
        "linear": nn.Linear(300, 400), "kernel": nn.Conv2d(40, 50, 3), "table": nn.Embedding(100, 300),
        "zero": nn.Linear(5, 5), "norm": nn.RMSNorm(7),
    })
    weights = dict(module.named_parameters())
    bias = weights["linear.bias"].clone()
    nn.init.zeros_(weights["zero.weight"])
    initialise(module, Key(3, "init"))
    for name, std in (("linear", 300**-0.5), ("kernel", 360**-0.5), ("table", 1)):
        assert abs(weights[f"{name}.weight"].std() / std - 1) < 0.02
        assert abs(weights[f"{name}.weight"].mean() / std) < 0.02
    assert torch.equal(weights["linear.bias"], bias)
    assert torch.equal(weights["norm.weight"], torch.ones(7))
    assert not weights["zero.weight"].any()


def test_a_layer_is_drawn_by_its_name_not_by_its_place() -> None:
    one, two = nn.ModuleDict({"b": nn.Linear(3, 4)}), nn.ModuleDict({"a": nn.Linear(3, 4), "b": nn.Linear(3, 4)})
    initialise(one, Key(0, "init"))
    initialise(two, Key(0, "init"))
    few, many = one.state_dict(), two.state_dict()
    assert torch.equal(few["b.weight"], many["b.weight"])
    assert not torch.equal(many["a.weight"], many["b.weight"])


# --- settings


GIVEN: dict[str, Any] = {"in_channels": 1, "out_channels": 1, "space": (28, 28)}


def test_overrides_are_respected() -> None:
    unet = build(networks, {"name": "unet", "patch": [1, 2], "channels": [8, 8, 16], "embedding_width": 12}, **GIVEN)
    assert (unet.patch, unet.patches.stride, unet.embedding_width) == ((1, 2), (4, 4), 12)
    assert unet.stem.kernel.weight.shape == (8, 2, 3, 3)
    transformer = build(networks, {"name": "transformer", "patch": 7, "width": 24, "depth": 3, "heads": 2}, **GIVEN)
    assert (transformer.patch, transformer.stem.weight.shape, len(transformer.blocks.blocks)) == ((7, 7), (24, 49), 6)
    mlp = build(networks, {"name": "mlp", "width": 24, "depth": 3, "embedding_width": 5}, **GIVEN)
    assert (mlp.stem.out_features, len(mlp.blocks.blocks), mlp.embedding_width) == (24, 3, 5)


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_a_patch_passes_through_the_finest_level_whole(channels: int) -> None:
    for space in ((28, 28), (64, 64), (256, 256)):
        network = networks["unet"](in_channels=channels, out_channels=channels, space=space)
        width, values = network.stem.kernel.weight.shape[:2]
        assert width >= min(2 * values, 96)
    given = networks["unet"](in_channels=channels, out_channels=channels, space=(64, 64), channels=(8, 16))
    assert given.stem.kernel.weight.shape[0] == 8


@pytest.mark.parametrize(("section", "message"), [
    ({"name": "unet", "patch": 0}, "patch = 0.*expected a number of at least 1"),
    ({"name": "unet", "patch": [2]}, r"patch = \(2,\).*or 2 of them, one per axis"),
    ({"name": "unet", "channels": [32, 48], "attention": True, "heads": 5}, "heads = 5 does not fit a width of 48.*try 1"),
    ({"name": "unet", "channels": []}, r"channels = \(\) does not fit.*one or more widths"),
    ({"name": "unet", "channels": [0, 32]}, r"channels = \(0, 32\) does not fit"),
    ({"name": "unet", "blocks": 0}, "blocks = 0.*at least 1"),
    ({"name": "unet", "embedding_width": 0}, "embedding_width = 0.*at least 1"),
    ({"name": "unet", "depth": 3}, "Unknown setting 'depth'"),
    ({"name": "transformer", "patch": -1}, "patch = -1"),
    ({"name": "transformer", "heads": 0}, "heads = 0"),
    ({"name": "transformer", "width": 30, "heads": 2}, "heads = 2 does not fit a width of 30"),
    ({"name": "transformer", "depth": 0}, "depth = 0.*at least 1"),
    ({"name": "mlp", "width": 0}, "width = 0.*at least 1"),
    ({"name": "mlp", "depth": -2}, "depth = -2.*at least 1"),
], ids=str)
def test_bad_settings_say_what_is_wrong(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(networks, section, **GIVEN)


@pytest.mark.parametrize(("name", "space"), [("unet", ()), ("transformer", (2, 2, 2, 2)), ("mlp", (0,)), ("unet", (0, 4))])
def test_a_space_that_a_network_cannot_work_on(name: str, space: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"expected .* axes"):
        tiny(name, space)


@over_names
def test_levels_of_a_wrong_shape_are_refused(name: str) -> None:
    network = tiny(name, (4, 4))
    for shape in ((3, 4), (3, 2, 1, 1)):
        with pytest.raises(ValueError, match="c_noise of shape"):
            network(torch.zeros(3, 2, 4, 4), torch.zeros(shape))


# --- parts


@pytest.mark.parametrize(("grid", "rank"), [((9,), 1), ((4, 5), 2), ((3, 4, 2), 3)])
def test_attention_sees_relative_positions_only(grid: tuple[int, ...], rank: int) -> None:
    rotary = Rotary(rank, 16).double()
    q, k = normal("q", 16).expand(prod(grid), 16), normal("k", 16).expand(prod(grid), 16)
    logits = (rotary(q, grid) @ rotary(k, grid).T).reshape(*grid, *grid)
    for axis in range(rank):
        n = grid[axis]
        early, late = (logits.narrow(axis, at, n - 1).narrow(rank + axis, at, n - 1) for at in (0, 1))
        torch.testing.assert_close(early, late, rtol=0, atol=1e-12)
        shifted = logits.narrow(axis, 0, n - 1).narrow(rank + axis, 1, n - 1)
        assert (shifted - early).abs().max() > 1e-2
    torch.testing.assert_close(rotary(q, grid).norm(dim=-1), q.norm(dim=-1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (0, 5), (2, 7, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_layers_equal_torchs(shape: tuple[int, ...], bias: bool) -> None:
    """In value and in every gradient, in the precision of each type."""
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        ours, theirs = Linear(5, 4, bias=bias).to(dtype), nn.Linear(5, 4, bias=bias).to(dtype)
        theirs.load_state_dict(ours.state_dict())
        x = normal("x", max(1, shape[0]), *shape[1:])[: shape[0]].to(dtype)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outputs = [layer(x) for layer, x in zip((ours, theirs), inputs, strict=True)]
        for y in outputs:
            (y * normal("y", y.shape[-1]).to(dtype)).sum().backward()
        found = [[y, x.grad, *(p.grad for p in layer.parameters())]
                 for layer, y, x in zip((ours, theirs), outputs, inputs, strict=True)]
        torch.testing.assert_close(*found, rtol=0, atol=tolerance)


def test_attention_has_no_favourite_corner() -> None:
    attention = SelfAttention(2, 16, 2).double()
    initialise(attention, Key(0, "init"))
    flipped = SelfAttention(2, 16, 2).double()
    flipped.load_state_dict(attention.state_dict())
    flipped.rotary.frequencies.neg_()
    x = normal("x", 2, 4, 5, 16)
    torch.testing.assert_close(flipped(x.flip(1, 2)).flip(1, 2), attention(x), rtol=0, atol=1e-12)
    assert (attention(x.flip(1, 2)).flip(1, 2) - attention(x)).abs().max() > 1e-4


def test_noise_levels_have_embeddings_of_their_own() -> None:
    embedding = NoiseEmbedding(32).double()
    initialise(embedding, Key(0, "init"))
    levels = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64)
    distances = torch.cdist(embedding(levels), embedding(levels))
    apart = (levels[:, None] - levels).abs()
    near, far = distances[(apart > 0) & (apart < 0.06)], distances[apart > 1]
    assert near.min() > 0.05  # neighbours differ
    assert near.mean() < 0.3 * far.mean()  # and are nearer than strangers


def test_a_block_is_the_identity_at_the_start() -> None:
    block = Modulated(FeedForward(6), 6, 4)
    x = torch.randn(2, 3, 3, 6)
    assert torch.equal(block(x, torch.randn(2, 1, 1, 4)), x)


def test_folding_puts_each_cell_into_one_position() -> None:
    x = torch.arange(24).reshape(1, 4, 6, 1)
    folded = space_to_depth(x, (2, 3))
    assert folded[0, 1, 0].tolist() == [12, 13, 14, 18, 19, 20]
    for shape, factors in (((2, 6, 4), (3,)), ((2, 4, 6, 5), (2, 3)), ((2, 4, 3, 6, 2), (1, 3, 2))):
        y = normal("y", *shape)
        assert torch.equal(depth_to_space(space_to_depth(y, factors), factors), y)


def test_padding_repeats_the_edge_and_cropping_undoes_it() -> None:
    x = normal("x", 2, 5, 3, 4)
    padded = pad(x, (4, 2))
    assert padded.shape == (2, 8, 4, 4)
    assert torch.equal(crop(padded, (5, 3)), x)
    assert torch.equal(padded[:, 5:, :3], x[:, 4:].expand(2, 3, 3, 4))


def test_means_over_cells_keep_axes_that_stand_for_any() -> None:
    x = torch.arange(12.0).reshape(1, 6, 1, 2)
    assert cell_means(x, (3, 2)).tolist() == [[[[2, 3]], [[8, 9]]]]


def test_frames_stay_until_pictures_are_as_small() -> None:
    assert halving((16, 64, 64)) == (1, 2, 2)
    assert halving((16, 16, 16)) == (2, 2, 2)
    assert patch_for((8, 64, 64), 512, 64) == (1, 8, 8)
