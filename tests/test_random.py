"""Keyed randomness: known answers, exact quantiles, independence of everything but the key."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pellucid.core.random import Key, _log, normal_quantile


@pytest.mark.parametrize(("counter", "key", "words"), [
    # Salmon et al. 2011, Random123 kat_vectors, philox4x64-10. NumPy adds one to the counter before the first block.
    ([2**64 - 1] * 4, [0, 0], [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    ([2**64 - 2] + [2**64 - 1] * 3, [2**64 - 1] * 2,
     [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]),
])
def test_philox_known_answers(counter: list[int], key: list[int], words: list[int]) -> None:
    words64 = {"counter": np.array(counter, dtype=np.uint64), "key": np.array(key, dtype=np.uint64)}
    bits = np.random.Philox(**words64).random_raw(4)
    assert [int(b) for b in bits] == words


def test_quantile_equals_scipy() -> None:
    u = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 100_001), 2.0 ** -np.arange(2, 54), 1 - 2.0 ** -np.arange(2, 53)])
    expected = stats.norm.ppf(u)
    np.testing.assert_allclose(normal_quantile(u), expected, rtol=2e-14, atol=1e-15)


def test_log_equals_math() -> None:
    x = 2.0 ** -np.linspace(0, 60, 5001)
    np.testing.assert_allclose(_log(x), [math.log(v) for v in x], rtol=3e-16, atol=3e-16)


def test_moments() -> None:
    z = Key(3, "noise").normal(range(100), (10_000,))
    assert abs(z.mean()) < 4e-3
    assert abs(z.var() - 1) < 6e-3
    assert stats.kstest(z[0].numpy(), "norm").pvalue > 1e-3


def test_a_sample_does_not_depend_on_its_batch() -> None:
    key = Key(7, "noise", 5)
    batch = key.normal([4, 9, 2], (3, 8, 8))
    assert torch.equal(batch[1], key.normal([9], (3, 8, 8))[0])
    assert torch.equal(batch[1], key.normal([[9, 0]], (3, 8, 8))[0])


@pytest.mark.parametrize("other", [Key(8, "noise", 5), Key(7, "times", 5), Key(7, "noise", 6)])
def test_every_field_of_the_key_matters(other: Key) -> None:
    key = Key(7, "noise", 5)
    assert not torch.equal(key.uniform([1], (4,)), other.uniform([1], (4,)))
    assert not torch.equal(key.uniform([1], (4,)), key.uniform([2], (4,)))
    assert not torch.equal(key.uniform([(1, 0)], (4,)), key.uniform([(1, 1)], (4,)))


def test_golden() -> None:
    # The first numbers of Key(0, "noise"), by AS 241 from the Philox words of that key. They may never change: every
    # recorded sample and every resumed run depends on them.
    assert [int(b) for b in Key(0, "noise").bits([0], 2)[0]] == [13511629268902793319, 4872863034473036301]
    assert Key(0, "noise").normal([0], (4,)).tolist()[0] == [
        0.6202909998080732, -0.630577416775912, -1.0676235632170326, 1.256691009476115,
    ]
