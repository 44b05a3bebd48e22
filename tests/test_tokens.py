"""Diffusion of tokens against a Markov chain of which everything is known: 81 sequences of four tokens, three kinds each."""



import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from draws import FastDraws
from pellucid.denoisers.categorical import Categorical
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.posterior import Categories, choose
from pellucid.denoisers.sequences import Sequences
from pellucid.losses.elbo import ElboLoss
from pellucid.networks.transformer import Transformer
from pellucid.processes.discrete import Discrete
from pellucid.processes.masked import Masked
from pellucid.processes.uniform_tokens import UniformTokens
from pellucid.samplers.sampler import Sampler
from pellucid.samplers.tokens import Reveal, Tokens
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule

KINDS, LENGTH, N, FEWER, STEPS = 3, 4, 40_000, 10_000, 128
START = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
NEXT = torch.tensor([[0.1, 0.8, 0.1], [0.3, 0.1, 0.6], [0.7, 0.2, 0.1]], dtype=torch.float64)
PROCESSES = [Masked(categories=KINDS), UniformTokens(categories=KINDS)]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)


def combinations(kinds: int) -> Tensor:
    """All sequences, (kinds^LENGTH, 1, LENGTH)."""
    return torch.cartesian_prod(*[torch.arange(kinds)] * LENGTH).unsqueeze(1)


ALL = combinations(KINDS)
CHANCES = START[ALL[:, 0, 0]] * torch.stack([NEXT[ALL[:, 0, i], ALL[:, 0, i + 1]] for i in range(LENGTH - 1)]).prod(0)


class Looked(Sequences):
    """At one time for all, few different x_t come, however many samples there are."""

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Categories:
        if t.ndim:
            return super().forward(x_t, t, cond)
        base = KINDS + 1
        place = (x_t[:, 0] * base ** torch.arange(LENGTH)).sum(1)
        seen, back = place.unique(return_inverse=True)
        states = (seen[:, None, None] // base ** torch.arange(LENGTH)) % base
        return Categories(super().forward(states, t, cond).logits[back])


def exact(process: Discrete) -> Sequences:
    return Looked(process, sequences=ALL, weights=CHANCES)


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def counts(x: Tensor) -> np.ndarray:
    """How often each sequence was drawn."""
    place = (x[:, 0] * KINDS ** torch.arange(LENGTH - 1, -1, -1)).sum(1)
    return torch.bincount(place, minlength=len(ALL)).numpy()


def test_the_chain_is_a_distribution() -> None:
    assert float(CHANCES.sum()) == pytest.approx(1, abs=1e-12)
    assert float(CHANCES.max() / CHANCES.min()) > 100


# Processes


@pytest.mark.parametrize("schedule", [Rectified(), Cosine()], ids=["rectified", "cosine"])
@pytest.mark.parametrize("kind", [Masked, UniformTokens])
def test_corruption_has_the_stated_probabilities(kind: type[Discrete], schedule: Schedule) -> None:
    """At several times, every clean token: how often it becomes what, by a chi-square test."""
    process = kind(categories=KINDS, schedule=schedule)
    for t in (0.2, 0.7, 1.0):
        for token in range(KINDS):
            x0 = torch.full((N, 1, 1), token)
            x_t = process.corrupt(x0, number(t), process.noise(FastDraws(N, token), "eps", 0, (1, 1), number(t)))
            stated = process.log_probability(torch.arange(process.states).reshape(-1, 1, 1), x0[:1], number(t)).exp()
            found = torch.bincount(x_t.flatten(), minlength=process.states).numpy()
            possible = stated.flatten().numpy() > 0
            assert float(stated.sum()) == pytest.approx(1, abs=1e-12)
            assert not found[~possible].any()
            if possible.sum() > 1:
                assert stats.chisquare(found[possible], N * stated.flatten().numpy()[possible]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("process", "settings"), [(PROCESSES[0], {}), (PROCESSES[1], {}), (PROCESSES[0], {"remask": 0.6})],
    ids=["masked", "uniform", "remask"],
)  # fmt: skip
def test_the_way_back_keeps_the_marginals(process: Discrete, settings: dict[str, float]) -> None:
    """Sum over x_t of q(x_t | x0) q(x_s | x_t, x0) = q(x_s | x0), for every x0 and some pairs of times."""
    for t, s in ((1.0, 0.6), (0.8, 0.3), (0.5, 0.0)):
        states = torch.arange(process.states).reshape(-1, 1, 1)
        for token in range(KINDS):
            x0 = torch.full_like(states, token)
            came = process.log_probability(states, x0, number(t)).exp()
            back = process.reverse(states, torch.nn.functional.one_hot(x0, KINDS), number(t), number(s), **settings)
            there = process.log_probability(states, x0, number(s)).exp().flatten()
            seen = (came > 0).flatten()
            torch.testing.assert_close((came.unsqueeze(-1) * back)[seen].sum((0, 1, 2)), there, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Masked, UniformTokens])
def test_nothing_happens_to_what_is_known(kind: type[Discrete]) -> None:
    """Of numbers below 1 the largest become 1 in 32 bits, once in thirty million tokens: they hide nothing at t = 0."""
    x0, eps = torch.arange(3)[None, None], torch.tensor([[[0.0, 0.5, 1.0]]])
    assert torch.equal(kind(categories=3, schedule=Rectified()).corrupt(x0, torch.zeros(1, 1, 3), eps), x0)


def test_the_prior_is_the_end_of_corruption() -> None:
    """All masked; or all categories alike."""
    eps = FastDraws(N).uniform("prior", 0, (1, 2))
    assert bool((PROCESSES[0].prior(eps) == KINDS).all())
    assert stats.chisquare(torch.bincount(PROCESSES[1].prior(eps).flatten(), minlength=KINDS).numpy()).pvalue > 1e-4


# The exact denoiser and the likelihood


@every_process
def test_the_exact_denoiser_is_bayes_rule(process: Discrete) -> None:
    """For every x_t: the marginals of p(x0) q(x_t | x0), summed by hand."""
    seen = combinations(process.states)
    found = exact(process)(seen, number(0.6)).logits.exp()
    for x_t, marginals in zip(seen[::7], found[::7], strict=True):
        joint = CHANCES * process.log_probability(x_t.expand_as(ALL), ALL, number(0.6)).sum((1, 2)).exp()
        by_hand = torch.stack([
            torch.stack([joint[ALL[:, 0, place] == kind].sum() for kind in range(KINDS)]) for place in range(LENGTH)
        ])
        torch.testing.assert_close(marginals[0], by_hand / joint.sum(), rtol=1e-9, atol=1e-12)


@every_process
def test_the_elbo_of_the_exact_denoiser_is_the_likelihood(process: Discrete) -> None:
    """-log p(x0) of all 81 sequences, by quadrature over t and the sum over every x_t: no chance is involved."""
    denoiser, seen, total = exact(process), combinations(process.states), torch.zeros(len(ALL), dtype=torch.float64)
    nodes, weights = np.polynomial.legendre.leggauss(48)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        t = number(node**4)  # the integrand of uniform tokens is like log t at the end
        log_p = denoiser(seen, t).logits
        for place, x0 in enumerate(ALL):
            chance = process.log_probability(seen, x0.expand_as(seen), t).sum((1, 2)).exp()
            rates = process.rate(x0.expand_as(seen), seen, log_p, t).sum((1, 2))
            total[place] += weight * 4 * node**3 * (chance * torch.where(chance > 0, rates, 0.0)).sum()
    torch.testing.assert_close(total, -CHANCES.log(), rtol=0, atol=1e-6)


def test_the_rate_stays_finite_where_almost_nothing_is_lost() -> None:
    """Of a denoiser as good as sure, in single precision: next to 0, whatever the time."""
    process, x0 = UniformTokens(categories=32), torch.zeros(1, 1, 4, dtype=torch.long)
    log_p = torch.full((1, 1, 4, 32), -60.0)
    log_p[..., 0] = 0
    for t in (1e-3, 1e-7, 1e-12):
        assert float(process.rate(x0, x0, log_p, number(t)).abs().max()) < 1e-6


@every_process
def test_another_denoiser_is_further_off(process: Discrete) -> None:
    """One that knows how often tokens are but not what follows what: its bound is above the entropy, by as much as is
    lost of it where tokens hang together."""
    x0 = ALL[torch.multinomial(CHANCES, N, replacement=True, generator=torch.Generator().manual_seed(0))]
    single = torch.stack([torch.stack([CHANCES[ALL[:, 0, i] == k].sum() for k in range(KINDS)]) for i in range(LENGTH)])
    alone = Sequences(process, sequences=ALL, weights=single[torch.arange(LENGTH), ALL[:, 0]].prod(1))
    draws, bounds = FastDraws(N, 1), []
    t = draws.uniform("t", 0, (1, 1))
    x_t = process.corrupt(x0, t, draws.uniform("eps", 0, (1, LENGTH)))
    for denoiser in (exact(process), alone):
        bounds.append(process.rate(x0, x_t, denoiser(x_t, t).logits, t).sum((1, 2)))
    entropy, apart = -float((CHANCES * CHANCES.log()).sum()), -float((single * single.log()).sum())
    for bound, truth in zip(bounds, (entropy, apart), strict=True):
        assert float(bound.mean()) == pytest.approx(truth, abs=4 * float(bound.std()) / N**0.5)
    assert apart > entropy + 0.5


# Samplers


EXACT: list[tuple[Discrete, Sampler, int]] = [
    (PROCESSES[0], Reveal(), LENGTH), (PROCESSES[0], Reveal(first="left"), LENGTH), (PROCESSES[0], Tokens(), STEPS),
    (PROCESSES[0], Tokens(remask=1.5), STEPS), (PROCESSES[1], Tokens(), STEPS),
]  # fmt: skip


@pytest.mark.parametrize(("process", "sampler", "steps"), EXACT, ids=["random", "left", "tokens", "remask", "uniform"])
def test_samples_are_distributed_as_the_chain(process: Discrete, sampler: Sampler, steps: int) -> None:
    """How often each of the 81 sequences comes, by a chi-square test; one token at a time, or in small steps."""
    draws, grid = FastDraws(FEWER, 7), torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    x = sampler.sample(exact(process), process.prior(draws.uniform("prior", 0, (1, LENGTH))), grid, draws=draws)
    assert stats.chisquare(counts(x), FEWER * CHANCES.numpy()).pvalue > 1e-4


def test_all_at_once_is_not_the_chain() -> None:
    """The test above can fail: in one step tokens do not know of each other."""
    draws = FastDraws(FEWER, 7)
    hidden = PROCESSES[0].prior(draws.uniform("prior", 0, (1, LENGTH)))
    x = Tokens().sample(exact(PROCESSES[0]), hidden, torch.tensor([1.0, 0.0]).double(), draws=draws)
    assert stats.chisquare(counts(x), FEWER * CHANCES.numpy()).pvalue < 1e-9


def test_known_tokens_stay_and_the_others_follow_them() -> None:
    """With the second and last tokens given, the others have their conditional distribution."""
    draws, start = FastDraws(N, 3), torch.full((N, 1, LENGTH), KINDS)
    start[:, 0, 1], start[:, 0, 3] = 2, 0
    grid = torch.linspace(1, 0, LENGTH + 1, dtype=torch.float64)
    found = counts(Reveal().sample(exact(PROCESSES[0]), start, grid, draws=draws))
    fits = ((ALL[:, 0, 1] == 2) & (ALL[:, 0, 3] == 0)).numpy()
    assert not found[~fits].any()
    wanted = CHANCES.numpy()[fits]
    assert stats.chisquare(found[fits], N * wanted / wanted.sum()).pvalue > 1e-4


@pytest.mark.parametrize("steps", [1, 2, 3, LENGTH, 9])
@pytest.mark.parametrize("first", ["random", "surest", "left"])
def test_everything_is_shown_in_the_end(first: str, steps: int) -> None:
    """However many steps: as many tokens as expected at each, none hidden at the end, and no call where none is hidden."""
    hidden = []
    sampler = Reveal(first=first)  # type: ignore[arg-type]
    start, grid = torch.full((5, 1, LENGTH), KINDS), torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    told: list[int] = []
    x = sampler.sample(
        exact(PROCESSES[0]), start, grid, draws=FastDraws(5),
        callback=lambda now: (hidden.append(int((now.x == KINDS).sum(2).max())), told.append(now.nfe)),  # type: ignore[func-returns-value]
    )
    assert int(x.max()) < KINDS
    assert hidden == sorted(hidden, reverse=True)
    assert hidden[-1] == 0
    assert told[-1] == min(steps, LENGTH)


def test_low_temperature_draws_what_is_likely() -> None:
    """Near zero, from left to right, it is the likeliest token each time; a small nucleus is the same."""
    start, grid = torch.full((50, 1, LENGTH), KINDS), torch.linspace(1, 0, LENGTH + 1, dtype=torch.float64)
    for sampler in (Reveal(first="left", temperature=0.01), Reveal(first="left", top_p=0.01)):
        x = sampler.sample(exact(PROCESSES[0]), start, grid, draws=FastDraws(50))
        greedy = [int(START.argmax())]
        for _ in range(LENGTH - 1):
            greedy.append(int(NEXT[greedy[-1]].argmax()))
        assert x.unique(dim=0).tolist() == [[greedy]]


def test_choice_keeps_what_is_rare() -> None:
    """A category of probability 1e-12 is drawn by the number that means it, as in float64, and never one of none."""
    p = torch.tensor([0.5, 0.5 - 1e-12, 1e-12, 0.0], dtype=torch.float64)
    u = torch.tensor([0.25, 0.75, 1 - 5e-13, 1 - 2.0**-53], dtype=torch.float64)
    assert choose(u, p.expand(4, 4)).tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("kind", [Masked, UniformTokens])
def test_probabilities_in_mixed_precision_sum_to_one(kind: type[Discrete]) -> None:
    """A network in bfloat16 does not make them, nor the loss, of 16 bits: there the reverse rates are no numbers."""
    network = Transformer(in_channels=128, out_channels=128, space=(12,), patch=1, width=32, depth=1)
    denoiser = Categorical(process=kind(categories=60), length=12, network=network)
    torch.nn.init.normal_(network.head.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    draws, x0 = FastDraws(64), torch.randint(60, (64, 1, 12), generator=torch.Generator().manual_seed(1))
    t = draws.uniform("t", 0, ())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_p = denoiser(denoiser.process.corrupt(x0, t, draws.uniform("eps", 0, (1, 12))), t).logits
        found = ElboLoss(denoiser=denoiser)(x0, t, draws.uniform("eps", 1, (1, 12))).weighted
    assert log_p.dtype == torch.float32
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(64, 1, 12), rtol=0, atol=1e-5)
    assert bool(found.isfinite().all())
