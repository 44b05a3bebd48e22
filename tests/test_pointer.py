"""Copying of known tokens: probabilities, where nothing is known, and what it learns that words alone do not tell."""

import pytest
import torch

from pellucid.denoisers.categorical import EMBEDDED, ROWS, Categorical
from pellucid.denoisers.pointer import Pointer
from pellucid.losses.elbo import ElboLoss
from pellucid.networks.transformer import Transformer
from pellucid.processes.masked import Masked
from pellucid.schedules.rectified import Rectified

KINDS, HALF = 40, 6


def made(copies: bool, seed: int = 0) -> Categorical:
    torch.manual_seed(seed)
    network = Transformer(in_channels=EMBEDDED, out_channels=EMBEDDED, space=(2 * HALF,), width=64, depth=2, patch=1)
    process = Masked(categories=KINDS, schedule=Rectified())
    return Categorical(process=process, length=2 * HALF, network=network, copies=copies)


def test_probabilities_sum_to_one_and_follow_the_formula() -> None:
    torch.manual_seed(0)
    pointer = Pointer(8, 5).double()
    torch.nn.init.normal_(pointer.gate.weight)
    torch.nn.init.normal_(pointer.goes_on)
    features, x_t = torch.randn(2, 4, 8).double(), torch.tensor([[3, 1, 3, 5], [5, 5, 5, 5]])
    where, log_p = x_t == 5, torch.randn(5, 5).double().log_softmax(-1)
    found = pointer(features, x_t, where, log_p).exp()
    torch.testing.assert_close(found.sum(-1), torch.ones(5).double())
    torch.testing.assert_close(found[1:], log_p[1:].exp())  # of the second nothing is known
    scores = (pointer.query(features[0, 3]) @ pointer.key(features[0]).T / 8**0.5)[:3]
    a = (scores + torch.stack([0 * pointer.goes_on[0], pointer.goes_on[0], 0 * pointer.goes_on[0]])).softmax(-1)
    g, expected = torch.sigmoid(pointer.gate(features[0, 3])), log_p[0].exp()
    expected = (1 - g) * expected
    expected[1] += (g * a[1])[0]  # after 3, as before
    expected[3] += (g * (a[0] + a[2]))[0]
    torch.testing.assert_close(found[0], expected)


def test_what_was_begun_goes_on_and_what_ends_it_is_looked_for() -> None:
    """Neighbours alike count, on either side, and only if they are known."""
    pointer = Pointer(4, 9)
    torch.nn.init.constant_(pointer.goes_on[0], 1.0)
    torch.nn.init.constant_(pointer.goes_on[1], 10.0)
    x_t = torch.tensor([[7, 8, 2, 7, 9, 2]])
    found = pointer._going_on(x_t, x_t < 9)[0]
    assert found[4].tolist() == [0, 11, 0, 0, 11, 0]
    assert found[5].tolist() == [0, 0, 0, 0, 0, 0]


def test_gradients_are_finite_where_nothing_is_known() -> None:
    denoiser = made(copies=True)
    loss = ElboLoss(denoiser=denoiser)
    x0, eps = torch.randint(0, KINDS, (4, 1, 2 * HALF)), torch.rand(4, 1, 2 * HALF)
    loss(x0, torch.ones(4), eps).weighted.sum().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in denoiser.parameters())


@pytest.mark.parametrize("copies", [False, True])
def test_how_many_tokens_are_hidden_makes_no_new_shape(copies: bool) -> None:
    """Or else memory grows with every number that comes up for the first time. Nothing is changed by it."""
    denoiser, shapes = made(copies), set[tuple[int, ...]]()
    denoiser.head.weight.data.normal_()
    for part in denoiser.modules():
        part.register_forward_pre_hook(lambda _, inputs: shapes.add(tuple(inputs[0].shape)) if inputs else None)
    x_t, t = torch.randint(0, KINDS, (3, 1, 2 * HALF)), torch.full((3,), 0.5)
    counts = []
    for hidden in range(1, 3 * 2 * HALF, 5):
        x_t.view(-1)[:hidden] = KINDS
        where = x_t == KINDS
        counts.append(len(shapes))
        torch.testing.assert_close(denoiser(x_t, t).at(where), denoiser(x_t, t).logits[where], rtol=1e-5, atol=1e-5)
    assert {shape for shape in shapes if len(shape) == 2 and shape[1] == EMBEDDED} == {(ROWS, EMBEDDED)}
    assert counts[-1] == counts[1] > 0


def test_what_the_posterior_offers_is_one_distribution() -> None:
    """All of it, and of some tokens alone."""
    denoiser, x_t = made(copies=True), torch.randint(0, KINDS + 1, (3, 1, 2 * HALF))
    said, where = denoiser(x_t, torch.full((3,), 0.5)), x_t == KINDS
    torch.testing.assert_close(said.logits[where], said.at(where))
    torch.testing.assert_close(said.logits.exp().sum(-1), torch.ones(3, 1, 2 * HALF))


def test_it_learns_to_repeat_sooner() -> None:
    """The second half repeats the first, of random tokens: as many steps, with and without copying."""
    losses = {}
    for copies in (False, True):
        denoiser = made(copies)
        loss = ElboLoss(denoiser=denoiser)
        optimiser = torch.optim.Adam(denoiser.parameters(), 3e-3)
        drawn = torch.Generator().manual_seed(1)
        losses[copies] = 0.0
        for _ in range(40):
            first = torch.randint(0, KINDS, (32, 1, HALF), generator=drawn)
            t = torch.cat([torch.zeros(32, 1, HALF), torch.rand(32, 1, 1, generator=drawn).expand(32, 1, HALF)], -1)
            found = loss(torch.cat([first, first], -1), t, torch.rand(32, 1, 2 * HALF, generator=drawn)).weighted.mean()
            optimiser.zero_grad()
            found.backward()
            optimiser.step()
            losses[copies] += float(found.detach())
    assert losses[True] < 0.7 * losses[False]
