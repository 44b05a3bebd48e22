"""Tokens of several kinds in one network: what fills them up is neither seen nor made."""

import pytest
import torch

from pellucid.core.errors import ConfigError
from pellucid.networks.segments import Segments
from pellucid.networks.transformer import Transformer

KINDS = ((6, 2), (16, 3), (2, 4))


def test_each_kind_has_its_own_maps() -> None:
    torch.manual_seed(0)
    segments, x = Segments(KINDS, 16, 8), torch.randn(5, 9, 16)
    for head in segments.heads:
        torch.nn.init.normal_(head.weight)
    h = segments.into(x)
    torch.testing.assert_close(h[:, :2], x[:, :2, :6] @ segments.stems[0].weight.T)
    torch.testing.assert_close(h[:, 5:], x[:, 5:, :2] @ segments.stems[2].weight.T)
    y = segments.out(h)
    assert y.shape == x.shape
    assert not y[:, :2, 6:].any()
    assert not y[:, 5:, 2:].any()
    torch.testing.assert_close(y[:, 2:5], h[:, 2:5] @ segments.heads[1].weight.T)
    seen = segments.into(torch.randn(2000, 9, 16)).detach()
    scales = [float(seen[:, place].std()) for place in segments.places]
    assert max(scales) < 1.5 * min(scales)  # those of few values are no fainter


def test_what_fills_up_is_not_seen() -> None:
    torch.manual_seed(0)
    network = Transformer(
        in_channels=16, out_channels=16, space=(9,), patch=1, width=16, depth=2, heads=2, places=True, segments=KINDS
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, noisy = torch.randn(2, 16, 9), torch.randn(2, 16, 9)
    noisy[:, :6, :2], noisy[:, :, 2:5], noisy[:, :2, 5:] = x[:, :6, :2], x[:, :, 2:5], x[:, :2, 5:]
    torch.testing.assert_close(network(x, torch.zeros(2)), network(noisy, torch.zeros(2)))
    assert not network(x, torch.zeros(2))[:, 6:, :2].any()


def test_patches_do_not_go_with_it() -> None:
    with pytest.raises(ConfigError, match=r"network\.patch = 3: parts of several kinds are patches of 1"):
        Transformer(in_channels=16, out_channels=16, space=(9,), patch=3, width=16, depth=1, heads=2, segments=KINDS)
